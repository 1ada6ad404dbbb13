"""The settings that depend on which providers are known.

A class of them is loaded as `with_providers(CLASS)`, which has the settings of each provider too:
so all errors are reported together, and all secrets are known.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import new_class
from typing import Annotated, Any, ClassVar, TypeVar, cast

import structlog
from pydantic import Field, InstanceOf, ValidationError, ValidationInfo, field_validator
from pydantic_core import InitErrorDetails, PydanticCustomError
from pydantic_settings import NoDecode

from receiver.config import values as kinds
from receiver.config.environment import PREFIX, Settings
from receiver.config.price_file import read_prices
from receiver.config.settings import SandboxSettings, ServeSettings
from receiver.config.values import one_of
from receiver.domain.prices import PriceList
from receiver.net.this_machine import is_this_machine
from receiver.providers import entries
from receiver.providers.described.entry import SHIPPED, DescribedEntry, read_entries
from receiver.providers.entry import Entry

log = structlog.get_logger()


class PriceSettings(Settings):
    known: ClassVar[Mapping[str, Entry]]
    """By the names of all providers, and then of their twins."""

    providers_dir: Annotated[Path | None, Field(validate_default=False)] = None
    """A folder with descriptions of further providers, `NAME.toml` (docs/providers.md)."""
    prices: Annotated[InstanceOf[PriceList] | None, NoDecode] = None
    """A TOML file with what jobs cost (docs/money.md)."""

    @field_validator("providers_dir")
    @classmethod
    def _check_descriptions(cls, folder: Path | None) -> Path | None:
        _, faults = ([], []) if folder is None else read_entries(folder)
        if faults:
            raise ValueError("\n".join(faults))
        return folder

    @field_validator("prices", mode="before")
    @classmethod
    def _read(cls, file: object) -> object:
        if not isinstance(file, str):
            return file
        return read_prices(file, {name: entry.measures for name, entry in cls.known.items()})


class ServiceSettings(ServeSettings, SandboxSettings, PriceSettings):
    """All settings of the service, but for those of each provider."""

    provider: str = entries()[0].name
    """The provider of a submission that names none: a name in docs/providers.md, of a provider or
    of the embedded sandbox that imitates it."""
    providers: kinds.Listed[str] = ()
    """The providers that run, by the same names; PROVIDER always runs. Each needs its key."""
    jobs_in_flight: kinds.Counted[str] = Field(default_factory=dict)
    """`fal=2,replicate=10`: the most jobs of a provider at once, for all processes together; more
    wait (docs/operating.md). A provider that is not named has no limit."""

    @field_validator("provider")
    @classmethod
    def _check_one(cls, name: str, info: ValidationInfo) -> str:
        cls._check_can_run(name, info.data)
        return name

    @field_validator("providers")
    @classmethod
    def _check_each(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        _check_each(names, lambda name: cls._check_can_run(name, info.data))
        return names

    @field_validator("jobs_in_flight")
    @classmethod
    def _check_names(cls, counts: Mapping[str, int]) -> Mapping[str, int]:
        _check_each(counts, lambda name: one_of(cls.known, name))
        return counts

    @classmethod
    def _check_can_run(cls, name: str, given: Mapping[str, Any]) -> None:
        entry = cls.known[one_of(cls.known, name)]
        # What is invalid is not in `given`, and is reported separately.
        for needed in () if name == entry.twin else entry.needed:
            if given.get(needed, "") is None:
                raise ValueError(
                    f"it needs {PREFIX}{needed.upper()}, which is not set"
                    f" ({PREFIX}PROVIDER={entry.twin} needs none)"
                )

    @property
    def provider_names(self) -> tuple[str, ...]:
        """The providers that run, the default one first."""
        return tuple(dict.fromkeys((self.provider, *self.providers)))

    def base_url_of(self, provider: str) -> str | None:
        """Where a provider's API is; None for an embedded sandbox, which is on this machine."""
        entry = self.known[provider]
        return None if provider == entry.twin else str(getattr(self, entry.base_url))

    def warnings(self) -> list[str]:
        found = super().warnings()
        urls = filter(None, map(self.base_url_of, self.provider_names))
        if is_this_machine(self.public_url) and not all(map(is_this_machine, urls)):
            found.append(
                f"{PREFIX}PUBLIC_URL is {self.public_url}, which the provider cannot reach:"
                " no callbacks will arrive, and outcomes are found only by polling"
            )
        for name in self.jobs_in_flight:
            if name not in self.provider_names:
                found.append(f"{PREFIX}JOBS_IN_FLIGHT names {name}, which does not run")
        return found


def _check_each(names: Iterable[str], check: Callable[[str], object]) -> None:
    """Raises ValidationError with a fault for each name that the check raises ValueError for: its
    text then shows this name alone."""
    faults: list[InitErrorDetails] = []
    for index, name in enumerate(names):
        try:
            check(name)
        except ValueError as fault:
            kind = PydanticCustomError("value_error", "{fault}", {"fault": str(fault)})
            faults.append({"type": kind, "loc": (index,), "input": name})
    if faults:
        raise ValidationError.from_exception_data("names", faults)


S = TypeVar("S", bound=PriceSettings)


def with_providers(kind: type[S]) -> type[S]:
    """The class, with the settings of every known provider."""
    return cast(type[S], _joined(kind, known_entries()))


class _Folder(Settings):
    providers_dir: Path | None = None


def known_entries() -> tuple[Entry, ...]:
    """Those of all providers, with those in `PROVIDERS_DIR`: these count where a shipped one has
    the name. What is wrong there is told when the settings are loaded."""
    with suppress(OSError, ValueError):
        if (folder := _Folder().providers_dir) is not None:
            return *entries(), *_described(folder)
    return *entries(), *_described()


def _described(folder: Path | None = None) -> Iterable[DescribedEntry]:
    found = {entry.name: entry for entry in read_entries(SHIPPED)[0]}
    for entry in () if folder is None else read_entries(folder)[0]:
        if entry.name in found:
            log.info("this description counts, not the one that is shipped", path=str(entry.path))
        found[entry.name] = entry
    return found.values()


@cache
def _joined(kind: type[PriceSettings], every: tuple[Entry, ...]) -> type[PriceSettings]:
    known = {entry.name: entry for entry in every} | {entry.twin: entry for entry in every}
    # Theirs are validated first: what checks a provider's name looks at its key.
    bases = (kind, *(entry.settings for entry in every))
    members = {"__module__": kind.__module__, "known": known}
    joined = new_class(kind.__name__, bases, exec_body=lambda body: body.update(members))
    return cast(type[PriceSettings], joined)
