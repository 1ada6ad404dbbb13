"""Texts with placeholders, such as `Bearer {key}`, alone or anywhere in a JSON value."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias
from urllib.parse import quote

_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")
_JSON_TYPES: Final = (str, bool, int, float, type(None))

Values: TypeAlias = Mapping[str, str]
"""What placeholders stand for, by name."""


def as_is(_name: str, value: str) -> str:
    return value


def in_path(name: str, value: str) -> str:
    """Percent-encoded; the slashes of a kind stay."""
    return quote(value, safe="/" if name == "kind" else "")


def in_query(_name: str, value: str) -> str:
    return quote(value, safe="")


@dataclass(frozen=True, slots=True)
class Template:
    """A text with placeholders."""

    parts: tuple[str, ...]
    """Text and names of placeholders in turn, text first and last."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of its placeholders."""
        return self.parts[1::2]

    def fill(self, values: Values, encode: Callable[[str, str], str] = as_is) -> str:
        """The text with these values, each encoded by `encode(name, value)`."""
        parts = list(self.parts)
        parts[1::2] = [encode(name, values[name]) for name in self.names]
        return "".join(parts)

    def read(self, text: str) -> dict[str, str] | None:
        """The values with which it would give this text, the shortest; None if there are none."""
        seen: set[str] = set()
        pattern = ""
        for position, part in enumerate(self.parts):
            if position % 2 == 0:
                pattern += re.escape(part)
            else:
                pattern += f"(?P=p{_number(self, part)})" if part in seen else ""
                pattern += "" if part in seen else f"(?P<p{_number(self, part)}>.*?)"
                seen.add(part)
        found = re.fullmatch(pattern, text, re.DOTALL)
        return found and {name: found[f"p{_number(self, name)}"] for name in seen}


def _number(template: Template, name: str) -> int:
    return template.names.index(name)


def split_template(text: object) -> Template:
    """Parse a text with any placeholders. Raises ValueError."""
    if not isinstance(text, str):
        raise ValueError("a text is needed")
    return Template(tuple(_PLACEHOLDER.split(text)))


def parse_template(text: object, known: Collection[str]) -> Template:
    """Parse a text whose placeholders are among `known`. Raises ValueError."""
    template = split_template(text)
    for name in template.names:
        if name not in known:
            names = ", ".join(f"{{{each}}}" for each in sorted(known))
            raise ValueError(f"{{{name}}} is no placeholder here; there are {names}")
    return template


def parse_form(value: object, known: Collection[str]) -> Any:
    """The JSON value with each text in it parsed as a template. Raises ValueError."""
    match value:
        case str():
            return parse_template(value, known)
        case dict():
            return {name: parse_form(each, known) for name, each in value.items()}
        case list():
            return [parse_form(each, known) for each in value]
        case float() if value * 0 != 0:
            raise ValueError(f"{value} is no JSON number")
        case _ if isinstance(value, _JSON_TYPES):
            return value
        case _:
            raise ValueError(f"{value} is no JSON value; write it as a text")


def fill_form(form: Any, values: Values) -> Any:
    """The JSON value with its templates filled. They always become texts."""
    match form:
        case Template():
            return form.fill(values)
        case dict():
            return {name: fill_form(each, values) for name, each in form.items()}
        case list():
            return [fill_form(each, values) for each in form]
        case _:
            return form


def read_form(form: Any, value: Any) -> dict[str, str] | None:
    """The values with which the form would give this JSON value; None if it would not."""
    match form:
        case Template():
            return form.read(value) if isinstance(value, str) else None
        case dict() | list():
            pairs = _pairs(form, value)
            found = None if pairs is None else [read_form(*pair) for pair in pairs]
            if found is None or None in found:
                return None
            return {name: text for each in found if each for name, text in each.items()}
        case _:
            return {} if form == value else None


def _pairs(form: Any, value: Any) -> list[tuple[Any, Any]] | None:
    if type(form) is not type(value):
        return None
    if isinstance(form, list):
        return list(zip(form, value, strict=True)) if len(form) == len(value) else None
    return [(each, value[name]) for name, each in form.items() if name in value]


def templates_in(form: Any) -> Iterator[Template]:
    """The templates in a form."""
    match form:
        case Template():
            yield form
        case dict():
            for each in form.values():
                yield from templates_in(each)
        case list():
            for each in form:
                yield from templates_in(each)
        case _:
            return
