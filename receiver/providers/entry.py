"""What is known of a provider without its code, which is slow to import."""

from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Any

from receiver.config.environment import Settings


@dataclass(frozen=True, slots=True)
class Entry:
    """A provider's names, and where the rest of it is."""

    name: str
    """In URLs and settings."""
    twin: str
    """The name of its simulated twin."""
    settings: type[Settings]
    """Its own settings. They are loaded together with all others, so their names must be unique."""
    key: str
    """Which of them is the operator's key: None if it is not set."""
    plugin: str
    """Where its `Plugin` is: `module:class`."""
    measures: tuple[str, ...] = ()
    """What it measures of a job, as price lists name it."""

    @property
    def needed(self) -> tuple[str, ...]:
        """Those of its settings without which it cannot run. The twin can."""
        return self.key, self.base_url

    def load(self) -> Any:
        """Its `Plugin`; this imports its code."""
        return resolve_name(self.plugin)()

    @property
    def base_url(self) -> str:
        """Which of its settings is the address of its API."""
        return f"{self.name.replace('-', '_')}_base_url"
