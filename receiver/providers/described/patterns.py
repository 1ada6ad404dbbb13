"""The pattern of a kind: a regular expression that is matched in bounded time.

Whether a kind fits is decided by the engine of Rust's `regex`, which pydantic brings along: its
time grows only with the length of the text, and it refuses what makes that impossible (references
to groups, looking ahead or behind). It gives no groups. So where a pattern names some, Python's own
engine reads them from a kind that fits, and the pattern must be simple enough for one that goes
back and tries again.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import StringConstraints, TypeAdapter, ValidationError
from pydantic_core import SchemaError

from receiver.upstream.contract import MAX_KIND

_MAX_WAYS: Final = 1_000_000
"""How many ways Python's engine may have to try for one kind."""

_TOKEN: Final = re.compile(
    r"""\\. | \[\^?\]?(?:\\.|[^\]\\])*\]  # one character
    | \((?:\?(?:P<\w+>|:|.?))?            # the beginning of a group
    | \{\d*,?\d*\} | .
    """,
    re.VERBOSE | re.DOTALL,
)
_FIXED: Final = re.compile(r"\{\d+\}")


@dataclass(frozen=True, slots=True)
class Pattern:
    text: str
    names: frozenset[str]
    """Of its groups."""
    _fits: TypeAdapter[str]
    _groups: re.Pattern[str]

    def match(self, kind: str) -> Mapping[str, str] | None:
        """The named groups of a kind that fits as a whole; None of any other. No value that this
        gives leads out of a path."""
        if len(kind) > MAX_KIND:
            return None
        try:
            self._fits.validate_python(kind)
        except ValidationError:
            return None
        groups: dict[str, str] = {}
        if self.names:
            found = self._groups.fullmatch(kind)
            if found is None:
                return None  # the two engines disagree about it
            groups = {name: found[name] or "" for name in self.names}
        is_safe = not any(
            step in (".", "..") for value in (kind, *groups.values()) for step in value.split("/")
        )
        return groups if is_safe else None


def parse_pattern(text: object) -> Pattern:
    """Parse a regular expression. Raises ValueError."""
    if not isinstance(text, str):
        raise ValueError("a regular expression is needed")
    try:
        groups = re.compile(text)
        whole: Any = Annotated[str, StringConstraints(pattern=rf"\A(?:{text})\z")]
        fits = TypeAdapter(whole)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"it is no regular expression: {error}") from None
    except SchemaError as error:
        why = str(error).rpartition("error: ")[2].strip()
        raise ValueError(f"it cannot be used: {why}") from None
    if groups.groupindex:
        _check_ways(text)
    return Pattern(text, frozenset(groups.groupindex), fits, groups)


def _check_ways(text: str) -> None:
    """Refuse a pattern with named groups if going back and trying again could take long. Without
    repeated groups, a kind is read in at most as many ways as the choices multiply to."""
    ways, depth, before = 1, 0, ""
    for token in _TOKEN.findall(text):
        if token.startswith("("):
            depth += 1
            if token not in ("(", "(?:") and not token.startswith("(?P<"):
                raise ValueError(f"a pattern with named groups cannot have {token}")
        elif token in ("*", "+", "?") or (token[0] == "{" and len(token) > 1):
            if before == ")":
                raise ValueError("a pattern with named groups cannot repeat a group")
            ways *= 1 if _FIXED.fullmatch(token) else 2 if token == "?" else MAX_KIND
        elif token == "|" and depth:
            ways *= 2
        depth -= token == ")"
        before = token
    if ways > _MAX_WAYS:
        raise ValueError("with named groups, it has too many * and + and | to match in time")
