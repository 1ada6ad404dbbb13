"""Places in a body: JSON Pointers (RFC 6901), alternatives of them, and headers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

from receiver.config.values import HEADER_NAME

T = TypeVar("T")

_HEADER: Final = "header:"
NO_HEADERS: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True)
class Pointer:
    """A JSON Pointer; without steps, it is the whole body."""

    steps: tuple[str, ...]

    def find(self, document: Any) -> Any:
        """What is there. Raises KeyError if there is nothing."""
        for step in self.steps:
            match document:
                case dict():
                    document = document[step]
                case list() if step.isdecimal() and step.isascii() and step == str(int(step[:9])):
                    try:
                        document = document[int(step)]
                    except IndexError:
                        raise KeyError(step) from None
                case _:
                    raise KeyError(step)
        return document


@dataclass(frozen=True, slots=True)
class Header:
    """A header of a callback."""

    name: str
    """In lower case."""


Source: TypeAlias = Pointer | Header


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value is: the first of some sources that is there, and of the right type."""

    sources: tuple[Source, ...]

    def first(
        self,
        body: Any,
        read: Callable[[Any], T | None],
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> T | None:
        """What `read` makes of the value: None if it is not of the right type. The names of
        `headers` are in lower case."""
        for source in self.sources:
            try:
                found = source.find(body) if isinstance(source, Pointer) else headers[source.name]
            except KeyError:
                continue
            if (value := read(found)) is not None:
                return value
        return None

    @property
    def pointers(self) -> tuple[Pointer, ...]:
        """Its sources in the body."""
        return tuple(each for each in self.sources if isinstance(each, Pointer))


def parse_pointer(text: str) -> Pointer:
    """Parse a JSON Pointer. Raises ValueError."""
    if text and not text.startswith("/"):
        raise ValueError(f'a JSON Pointer such as "/data/id" is needed: {text!r} has no / in front')
    steps = text.split("/")[1:]
    if any("~" in step.replace("~0", "").replace("~1", "") for step in steps):
        raise ValueError(f"in a JSON Pointer ~ is written ~0, and / in a name ~1: {text!r}")
    return Pointer(tuple(step.replace("~1", "/").replace("~0", "~") for step in steps))


def parse_source(text: str) -> Source:
    """Parse a JSON Pointer or `header:NAME`. Raises ValueError."""
    if not text.startswith(_HEADER):
        return parse_pointer(text)
    name = text.removeprefix(_HEADER)
    if not HEADER_NAME.fullmatch(name):
        raise ValueError(f"a header's name is needed, as in header:x-task-id: {text!r}")
    return Header(name.lower())


def parse_place(value: object, parse: Callable[[str], Source] = parse_pointer) -> Place:
    """Parse a text or a list of texts. Raises ValueError."""
    texts = value if isinstance(value, list) else [value]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise ValueError('a JSON Pointer such as "/data/id" is needed, or a list of them')
    return Place(tuple(map(parse, texts)))


def put(document: Any, steps: tuple[str, ...], value: Any) -> Any:
    """The document with the value there; tables and arrays on the way are made. What is there is
    kept beside it where both are tables, and replaced where not."""
    if not steps:
        both = isinstance(document, dict) and isinstance(value, dict)
        return {**document, **value} if both else value
    name, *rest = steps
    if name.isdecimal() and len(name) < 3 and not isinstance(document, dict):
        items = list(document) if isinstance(document, list) else []
        items += [None] * (int(name) + 1 - len(items))
        items[int(name)] = put(items[int(name)], tuple(rest), value)
        return items
    members = document if isinstance(document, dict) else {}
    return {**members, name: put(members.get(name), tuple(rest), value)}
