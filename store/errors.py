"""What a store raises.

StoreError
├── StoreUnavailable      nothing was written; trying again later may work
│   ├── StoreBusy         more waits than the store will queue
│   ├── StoreLocked       another process has held the database for too long
│   └── StoreFull         no room, or no permission, to write
├── StoreCorrupt          the file is no database of ours, or is damaged
├── AddressInvalid        the address is none that can be used; a ValueError too
├── SchemaTooNew          a newer release has written this database
├── ServerUnfit           the database server is too old, or set up in a way that will not do
├── TargetNotEmpty        something is kept already where a copy was to go
├── BackupElsewhere       this store is backed up by its own tools
├── StoreInUse            another service runs on this database
├── NotFound              no such row, or not this user's
├── ProviderIdTaken       another job holds this provider_request_id
├── KeyReused             an idempotency key came back with another body
├── KeyHeld               the first request of an idempotency key still waits for its answer
├── AmbiguousPrefix       a key prefix that fits several keys
└── DeliveryPending       a delivery that is still to be sent needs no retry
"""


class StoreError(Exception):
    """Anything that a store raises on purpose."""


class StoreUnavailable(StoreError):
    """Nothing was written, and the same call may work later."""


class StoreBusy(StoreUnavailable):
    """The queue of writes is full: shed load now instead of queueing without bound."""


class StoreLocked(StoreUnavailable):
    """Another process has held the database's lock for too long."""


class StoreFull(StoreUnavailable):
    """The disk is full, read-only, or failing."""


class StoreCorrupt(StoreError):
    """The file is no database, or no longer one."""


class AddressInvalid(StoreError, ValueError):
    """The address of the store is none that can be used."""


class SchemaTooNew(StoreError):
    """The database was written by a newer release; this one must not touch it."""


class ServerUnfit(StoreError):
    """The database server is too old, or its database is set up in a way that will not do."""


class TargetNotEmpty(StoreError):
    """Something is kept already where a copy was to go."""


class BackupElsewhere(StoreError):
    """The store makes no copy of itself: its own tools do. The message names them."""


class StoreInUse(StoreError):
    """Another service holds this database."""


class NotFound(StoreError):
    """No such row, or it is another user's, which is the same to whoever asks."""


class ProviderIdTaken(StoreError):
    """Another job of the provider holds this provider_request_id."""


class KeyReused(StoreError):
    """The idempotency key was used before, with another body."""


class KeyHeld(StoreError):
    """The first request with this idempotency key still waits for its answer."""


class AmbiguousPrefix(StoreError):
    """The prefix fits more than one key. `prefixes` lists them."""

    def __init__(self, prefixes: list[str]) -> None:
        super().__init__(f"the prefix fits {len(prefixes)} keys")
        self.prefixes = prefixes


class DeliveryPending(StoreError):
    """The delivery is pending already."""
