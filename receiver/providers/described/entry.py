"""Where descriptions are found, and what is known of their providers without their code."""

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, SecretStr, create_model

from receiver.config import values as kinds
from receiver.config.environment import Settings
from receiver.providers.described.description import Description, read_description
from receiver.providers.entry import Entry

SHIPPED: Final = Path(__file__).with_name("shipped")


@dataclass(frozen=True, slots=True)
class DescribedEntry(Entry):
    description: Description = field(kw_only=True, compare=False)
    path: Path = field(kw_only=True)
    """Where its description is."""

    @property
    def needed(self) -> tuple[str, ...]:
        return (self.key, self.base_url) if self.description.needs_key else (self.base_url,)

    @property
    def webhook_secret(self) -> str:
        """Which of its settings has the secrets of its callbacks."""
        return f"{self.name.replace('-', '_')}_webhook_secret"

    def load(self) -> Any:
        return resolve_name(self.plugin)(self)


def read_entries(folder: Path) -> tuple[list[DescribedEntry], list[str]]:
    """The providers that the `NAME.toml` in a folder describe, and a line for each fault: of the
    folder, or of a file that is left out."""
    found: list[DescribedEntry] = []
    faults: list[str] = []
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".toml")
    except OSError as error:
        return [], [f"the folder cannot be read: {error.strerror}"]
    for path in paths:
        try:
            found.append(_entry(path, path.read_text(encoding="utf-8")))
        except OSError as error:
            faults.append(f"{path.name} cannot be read: {error.strerror}")
        except ValueError as error:  # also from the decoder of UTF-8
            faults += [f"{path.name}, {line}" for line in str(error).split("\n")]
    return found, faults


@cache
def _entry(path: Path, text: str) -> DescribedEntry:
    """The same for the same text: classes of settings are made from it. Raises ValueError."""
    one = read_description(text, path.stem)
    prefix = one.name.replace("-", "_")
    return DescribedEntry(
        name=one.name,
        twin=f"sandbox-{one.name}",
        settings=_settings(one, prefix),
        key=f"{prefix}_api_key",
        plugin="receiver.providers.described.plugin:DescribedPlugin",
        measures=tuple(one.read.measured),
        description=one,
        path=path,
    )


def _settings(one: Description, prefix: str) -> type[Settings]:
    def usable(secrets: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if one.signature is not None and secrets:
            from receiver.providers.described.signatures import read_keys  # slow to import

            read_keys(one.signature, [secret.get_secret_value() for secret in secrets])
        return secrets

    needed = f"needed for `{one.name}`" if one.needs_key else "optional"
    members: dict[str, Any] = {
        f"{prefix}_api_key": (
            kinds.HeaderValue | None,
            Field(
                None,
                repr=False,
                description=f"The API key of `{one.name}`; {needed}. Its sandbox accepts only this"
                " key, or any key if it is not set.",
            ),
        ),
        f"{prefix}_base_url": (
            kinds.FolderUrl | None,
            Field(one.base_url, description=f"The API of `{one.name}`; its paths are appended."),
        ),
        f"{prefix}_webhook_secret": (
            Annotated[kinds.Listed[SecretStr], AfterValidator(usable)],
            Field(
                (),
                repr=False,
                description=f"Comma-separated: verifies callbacks of `{one.name}`; the first is"
                " told to it where it asks for one.",
            ),
        ),
    }
    return create_model(f"{prefix.title()}Settings", __base__=Settings, **members)
