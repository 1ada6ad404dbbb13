"""The answer to a provider's call, and how it is read."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from receiver.json_text import UnreadableJson, decode, parse

TOO_LONG = "is too long"
_NO_OBJECT = "is not a JSON object"


@dataclass(frozen=True, slots=True)
class Answer:
    """A status line, and as much of the rest as could be read."""

    status_code: int
    retry_after: str | None
    flaw: str
    """What is wrong with a body that is not a JSON object, for "an answer that …"."""
    value: Any
    """The JSON value, not cleaned."""
    text: str | None
    """The whole body if it is not JSON."""

    @property
    def body(self) -> Mapping[str, Any] | None:
        """The JSON object, if it is one."""
        return self.value if isinstance(self.value, dict) else None

    @property
    def is_json(self) -> bool:
        """Whether the body is JSON, so that `value` is valid."""
        return self.flaw in ("", _NO_OBJECT)


def decompressed(raw: bytearray, most: int) -> tuple[bytearray, str]:
    """Decompress an answer that is compressed although we did not ask for it. Returns the content
    and the flaw."""
    try:
        content = zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(raw, most + 1)
    except zlib.error:
        return bytearray(), "has a content encoding that cannot be read"
    return bytearray(content), TOO_LONG if len(content) > most else ""


def read_answer(status_code: int, retry_after: str | None, raw: bytearray, flaw: str) -> Answer:
    """The answer with this body, which is read unless it has a flaw already."""
    value: Any = None
    text: str | None = None
    if not flaw:
        decoded = decode(raw)
        try:
            value = parse(decoded)
        except UnreadableJson:
            flaw, text = "is not JSON", decoded
        else:
            flaw = "" if isinstance(value, dict) else _NO_OBJECT
    return Answer(status_code, retry_after, flaw, value, text)
