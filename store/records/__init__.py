"""The store's records, all frozen, and their enumerations.

Times are `Millis`, whole milliseconds since the Unix epoch. Records have no behaviour beyond
properties and changed copies of themselves; the state machine is in `receiver.domain.lifecycle`.
"""
