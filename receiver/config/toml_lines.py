"""Reads a TOML file into a pydantic model, and reports all its faults with their lines."""

import difflib
import tomllib
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

Path: TypeAlias = Sequence[str | int]
"""Of a value in a document: names of members, and positions in arrays."""


class Table(BaseModel):
    """A table with these members and no others; their docstrings describe them."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


M = TypeVar("M", bound=Table)


def parse_toml(text: str) -> dict[str, Any]:
    """Parse TOML. Raises ValueError."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also from int(), for more than 4,300 digits
        raise ValueError(f"it is not TOML: {error}") from None


def read_toml(
    model: type[M],
    text: str,
    document: Mapping[str, Any],
    more: Iterable[tuple[Path, str]] = (),
    context: Any = None,
) -> M:
    """The model of a parsed document. `more` are faults that its types do not find, as path and
    text; `context` is for its validators.

    Raises:
        ValueError: with a line for each fault, in their order: `line 3: table.member: what`.
    """
    faults = list(more)
    read: M | None = None
    try:
        read = model.model_validate(document, context=context)
    except ValidationError as error:
        faults += [(each["loc"], _what(model, each)) for each in error.errors(include_url=False)]
    if read is not None and not faults:
        return read
    found = sorted((line_of(text, document, path), _named(path, what)) for path, what in faults)
    raise ValueError("\n".join(f"line {line}: {what}" for line, what in dict.fromkeys(found)))


def line_of(text: str, document: Mapping[str, Any], path: Path) -> int:
    """The line, from 1, with which the document first has what is at the path; for what is missing,
    the line of the table that lacks it. (tomllib tells no lines of values.)"""
    lines = text.split("\n")
    while not _reaches(document, path):
        path = path[:-1]

    def has(index: int) -> bool:
        for end in range(index + 1, len(lines)):
            try:
                return _reaches(tomllib.loads("\n".join(lines[:end])), path)
            except ValueError:
                continue  # it ends within a value
        return True

    return bisect_left(range(len(lines) - 1), True, key=has) + 1


def _reaches(value: Any, path: Path) -> bool:
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def _named(path: Path, what: str) -> str:
    name = ".".join(step for step in path if isinstance(step, str))
    return f"{name}: {what}" if name else what


def _what(model: type[BaseModel], error: ErrorDetails) -> str:
    match error["type"]:
        case "missing":
            return "this member is needed"
        case "extra_forbidden":
            *tables, name = error["loc"]
            near = difflib.get_close_matches(str(name), _members(model, tables), n=1)
            return "there is no such member" + (f"; did you mean {near[0]}?" if near else "")
        case _:
            return error["msg"].removeprefix("Value error, ")


def _members(model: type[BaseModel], tables: Path) -> Iterable[str]:
    """The members of a table in a model."""
    for name in tables:
        if isinstance(name, str):
            annotation = model.model_fields[name].annotation
            found = [each for each in (annotation, *get_args(annotation)) if isinstance(each, type)]
            model = next(each for each in found if issubclass(each, BaseModel))
    return model.model_fields
