"""Reads settings from the environment: no other module does, except that traces and buckets are
configured by the `OTEL_…` and `AWS_…` variables.

A setting NAME is the environment variable `RECEIVER_NAME`, or a line of `.env` in the working
directory; the environment takes precedence. A blank value means "not set", except for RATE_LIMIT.
Each command loads the class with the settings that it uses, through `load`, which reports all
errors together.
"""

import difflib
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from dotenv.parser import parse_stream
from pydantic import SecretStr, ValidationError, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    SettingsConfigDict,
)

PREFIX = "RECEIVER_"
_FILE = Path(".env")

# dotenv warns of unreadable lines each time it reads them; `Settings.warnings` reports them once.
logging.getLogger("dotenv").setLevel(logging.ERROR)


class SettingsError(Exception):
    """The settings are invalid. `faults` has a line for each error: what is wrong, and what is
    expected.

    `warnings` lists unreadable lines and unknown names: a missing setting may be misspelt.
    """

    def __init__(self, faults: tuple[str, ...], warnings: tuple[str, ...] = ()) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults
        self.warnings = warnings


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        defer_build=True,
        env_prefix=PREFIX,
        env_file=_FILE,
        env_file_encoding="utf-8",
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        validate_default=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _blank_is_not_set(cls, values: dict[str, object]) -> dict[str, object]:
        found = {}
        for name, value in values.items():
            stripped = value.strip() if isinstance(value, str) else value
            if stripped != "" or name == "rate_limit":
                found[name] = stripped
        return found

    def secrets(self) -> Iterator[str]:
        for _, value in self:
            for each in value if isinstance(value, tuple) else (value,):
                if isinstance(each, SecretStr):
                    yield each.get_secret_value()

    def warnings(self) -> list[str]:
        """Probable mistakes, one sentence each; unreadable lines come first."""
        return list(_ignored_settings())


S = TypeVar("S", bound=Settings)


def load(kind: type[S], **given: Any) -> S:
    """Read the settings of one command; `given` (its options, None if omitted) take precedence.

    Raises SettingsError with all errors together. Showing `warnings()` is up to the caller.
    """
    try:
        return kind(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        details = error.errors(include_url=False)
        # Skip a default that could not be made because of another setting's error, reported too.
        own = [each for each in details if each["type"] != "default_factory_not_called"]
        faults = dict.fromkeys(_describe_error(each, kind) for each in own)
        raise SettingsError(tuple(faults), tuple(_ignored_settings())) from None
    except (OSError, UnicodeError) as error:
        raise SettingsError((f".env cannot be read: {error}",)) from None


def _describe_error(detail: ErrorDetails, kind: type[Settings]) -> str:
    field_name = str(detail["loc"][0])
    name = PREFIX + field_name.upper()
    field = kind.model_fields[field_name]
    if detail["type"] == "missing":
        return f"{name} is not set: {field.description}"
    reason = detail["msg"]
    if detail["type"] == "value_error":  # our own message
        reason = reason.removeprefix("Value error, ")
    else:
        reason = reason[:1].lower() + reason[1:]
    if not field.repr:
        # Not "API_KEY: reason": the log would take the reason for the key and redact it.
        return f"{name} cannot be used: {reason}"
    # Up to the last @: a password may contain anything.
    shown = re.sub(r"^(\w+://)?.*@", r"\1…@", str(detail["input"]), flags=re.DOTALL)
    return f"{name} is {shown[:200]!r}: {reason}"


def _ignored_settings() -> Iterator[str]:
    if _FILE.is_file():
        with _FILE.open(encoding="utf-8") as file:
            for read in parse_stream(file):
                if read.error:
                    line = read.original.line
                    yield f"line {line} of {_FILE} cannot be read: NAME=value is needed"
    yield from _unknown_names()


def _unknown_names() -> Iterator[str]:
    known = {name.upper() for kind in _kinds(Settings) for name in kind.model_fields}
    found = {
        name.upper().removeprefix(PREFIX)
        for source in (EnvSettingsSource(Settings), DotEnvSettingsSource(Settings))
        for name in source.env_vars
        if name.upper().startswith(PREFIX)
    }
    for name in sorted(found - known):
        near = difflib.get_close_matches(name, known, n=1)
        meant = f"; did you mean {PREFIX}{near[0]}?" if near else ""
        yield f"{PREFIX}{name} is not a setting{meant}"


def _kinds(base: type[Settings]) -> Iterator[type[Settings]]:
    """The classes with settings."""
    for kind in base.__subclasses__():
        yield kind
        yield from _kinds(kind)
