"""Reads settings from the environment: no other module does, except that traces and buckets are
configured by the `OTEL_…` and `AWS_…` variables.

A setting NAME is the environment variable `RECEIVER_NAME`, or a line of `.env` in the working
directory; the environment takes precedence. A blank value means "not set", but it turns the
`LIMITS` off. Each command loads the class with the settings that it uses, through `load`, which
reports all errors together.
"""

import difflib
import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, TypeVar

from dotenv import dotenv_values
from pydantic import SecretStr, ValidationError, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "RECEIVER_"
_FILE = Path(".env")


class SettingsError(Exception):
    """The settings are invalid. `faults` has a line for each error: what is wrong, and what is
    expected. `warnings` is as `Settings.warnings`: a missing setting may be misspelt."""

    def __init__(self, faults: tuple[str, ...], warnings: tuple[str, ...] = ()) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults
        self.warnings = warnings


LIMITS = ("rate_limit", "user_storage")
"""The settings that a blank value turns off."""


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        allow_inf_nan=False,
        defer_build=True,
        env_prefix=PREFIX,
        env_file=_FILE,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        validate_default=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _blank_is_not_set(cls, values: dict[str, object]) -> dict[str, object]:
        stripped = {
            name: value.strip() if isinstance(value, str) else value
            for name, value in values.items()
        }
        return {name: v for name, v in stripped.items() if v != "" or name in LIMITS}

    def secrets(self) -> Iterator[str]:
        for _, value in self:
            for each in value if isinstance(value, tuple) else (value,):
                if isinstance(each, SecretStr):
                    yield each.get_secret_value()

    def warnings(self) -> list[str]:
        """Probable mistakes, one sentence each."""
        return _unknown_names()


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
        faults = dict.fromkeys(line for each in own for line in _describe_error(each, kind))
        raise SettingsError(tuple(faults), tuple(_unknown_names())) from None
    except (OSError, UnicodeError) as error:
        raise SettingsError((f".env cannot be read: {error}",)) from None


def _describe_error(detail: ErrorDetails, kind: type[Settings]) -> Iterator[str]:
    """A line for each fault: a file may have several."""
    field_name = str(detail["loc"][0])
    name, field = PREFIX + field_name.upper(), kind.model_fields[field_name]
    if detail["type"] == "missing":
        yield f"{name} is not set: {field.description}"
        return
    reason = detail["msg"].removeprefix("Value error, ")  # before our own messages
    if not field.repr:
        # Not "API_KEY: reason": the log would take the reason for the key and redact it.
        yield f"{name} cannot be used: {reason}"
        return
    # Up to the last @: a password may contain anything.
    shown = re.sub(r"^(\w+://)?.*@", r"\1…@", str(detail["input"]), flags=re.DOTALL)
    for line in reason.split("\n"):
        yield f"{name} is {shown[:200]!r}: {line}"


def _unknown_names() -> list[str]:
    known = {name.upper() for name in _names(Settings)}
    given = [name.upper() for name in (*os.environ, *dotenv_values(_FILE))]
    found = {name.removeprefix(PREFIX) for name in given if name.startswith(PREFIX)}
    return [
        f"{PREFIX}{name} is not a setting{_meant(name, known)}" for name in sorted(found - known)
    ]


def _meant(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {PREFIX}{near[0]}?" if near else ""


def _names(kind: type[Settings]) -> set[str]:
    """The settings of a class and of all below it."""
    return set(kind.model_fields).union(*map(_names, kind.__subclasses__()))
