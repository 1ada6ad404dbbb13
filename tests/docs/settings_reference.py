"""Generates docs/settings.md from receiver/settings.py:
`python -m tests.docs.settings_reference`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from receiver.environment import PREFIX
from receiver.setting_values import Rate
from receiver.settings import (
    AddressSettings,
    ArchiveSettings,
    ClientSettings,
    LogSettings,
    SandboxSettings,
    ServeSettings,
    StoreSettings,
)

FILE = Path(__file__).resolve().parents[2] / "docs" / "settings.md"
HEAD = """# Settings

Set NAME as the environment variable `RECEIVER_NAME`, or as a line of `.env` in the working \
folder; the environment wins. A blank value means "not set", except for `RATE_LIMIT`. Lists are \
separated by commas; durations are in seconds (`RETENTION_DAYS` in days) and can have fractions. \
All configuration errors are reported together, with exit status 2; an unknown name is \
warned about.

This page is generated from `receiver/settings.py` (`python -m tests.docs.settings_reference`).
"""
GROUPS: dict[str, type[BaseSettings]] = {
    "The store": StoreSettings,
    "The archive": ArchiveSettings,
    "The log": LogSettings,
    "The address": AddressSettings,
    "The service": ServeSettings,
    "Keys, models and sandboxes": SandboxSettings,
    "Commands that call the service": ClientSettings,
}


def reference() -> str:
    """The whole page."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield HEAD
    for title, kind in GROUPS.items():
        yield f"## {title}\n"
        yield "| name | default | meaning |"
        yield "|---|---|---|"
        for name in kind.__annotations__:
            if name in kind.model_fields:
                yield _row(name, kind.model_fields[name])
        yield ""


def _row(name: str, field: FieldInfo) -> str:
    meaning = " ".join((field.description or "").split())
    return f"| `{name.upper()}` | {_default(field)} | {meaning} |"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "none; needed"
    if field.default_factory is not None or field.default in (None, ()):
        return "none"
    return f"`{as_text(field.default)}`"


def as_text(value: Any) -> str:
    """A default as one would write it in the environment."""
    match value:
        case bool():
            return str(value).lower()
        case Rate(count, seconds):
            return f"{count}/{ {1: 'second', 60: 'minute', 3600: 'hour'}[seconds] }"
        case tuple():
            return ",".join(map(as_text, value))
        case _:
            return str(value)


if __name__ == "__main__":
    FILE.write_text(reference())
    print(f"{PREFIX}*: {FILE.name} is written.")
