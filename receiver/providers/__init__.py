"""The providers: a folder each, with a line in `BUILT_IN` (docs/providers.md has the steps). Only
the composition root and the commands import them.

Every command loads the entries, so that it knows the names of all settings. The rest of a folder is
imported where providers run.
"""

from pkgutil import resolve_name

from receiver.providers.entry import Entry

BUILT_IN = (
    "receiver.providers.samsar.settings:ENTRY",
    "receiver.providers.replicate.settings:ENTRY",
    "receiver.providers.fal.settings:ENTRY",
)
"""Where their entries are: `module:name`. The first is the default provider."""


def entries() -> tuple[Entry, ...]:
    """Those of all known providers."""
    return tuple(map(resolve_name, BUILT_IN))
