"""Truncates a provider's result for the job's row, and finds the links in it. Pure."""

import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

RESULT_BYTES: Final = 64 * 1024
"""Maximum size of a job's result as JSON. A longer one is truncated, and stored whole elsewhere."""

_MARK: Final = {"truncated": True}

_encode: Final = json.JSONEncoder(separators=(",", ":")).encode


def truncate_result(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """The result itself if it is small enough; otherwise a truncated copy.

    The copy has the members in order while they fit. The last one is cut short if it is a list, a
    string or an object. `"truncated": true` is added. A `videoUrl` goes first: without the link, a
    result is useless.

    This also runs inside write transactions, so what no longer fits is not even read.
    """
    _, left = _beginning(dict(result), RESULT_BYTES)
    if left >= 0:
        return result
    first = {name: result[name] for name in ("videoUrl",) if name in result}
    cut: dict[str, Any]
    cut, _ = _beginning({**first, **result}, RESULT_BYTES - _size(_MARK))
    return cut | _MARK


def links_of(result: Mapping[str, Any]) -> list[str]:
    """The texts in a result that begin with `http://` or `https://`, each once, in order; a
    `videoUrl` first."""
    texts = _texts([result.get("videoUrl"), *result.values()])
    return list(dict.fromkeys(text for text in texts if _is_link(text)))


def _is_link(text: str) -> bool:
    return text[:8].lower().startswith(("http://", "https://"))


def _texts(values: list[Any]) -> Iterator[str]:
    # Not recursive, or each text would pass through the generators of all levels.
    open_values: list[Iterator[Any]] = [iter(values)]
    while open_values:
        for item in open_values[-1]:
            if isinstance(item, str):
                yield item
            elif isinstance(item, dict):
                open_values.append(iter(item.values()))
                break
            elif isinstance(item, list):
                open_values.append(iter(item))
                break
        else:
            open_values.pop()


def _beginning(value: Any, room: int) -> tuple[Any, int]:
    """The beginning of the value that fits in `room` bytes of JSON, and the room that is left,
    which is negative if something was cut off."""
    match value:
        case str():
            # The quotes take two bytes, and each character takes at least one.
            if len(value) <= room - 2 and (left := room - _size(value)) >= 0:
                return value, left
            ends = range(1, min(len(value), room - 2) + 1)
            return value[: bisect_right(ends, room, key=lambda end: _size(value[:end]))], -1
        case list():
            kept, left = _while_fitting(((None, item) for item in value), room)
            return [item for _, item in kept], left
        case dict():
            kept, left = _while_fitting(value.items(), room)
            return dict(kept), left
        case _:
            # `repr` is as long as JSON for numbers, None, True and False.
            left = room - len(repr(value))
            return (None if left < 0 else value), left


def _while_fitting(
    members: Iterable[tuple[Any, Any]], room: int
) -> tuple[list[tuple[Any, Any]], int]:
    kept: list[tuple[Any, Any]] = []
    left = room - 2
    for name, item in members:
        if name is not None:
            _, left = _beginning(name, left - 1)
        part, left = _beginning(item, left)
        if left >= 0:
            kept.append((name, item))
            left -= 1
            continue
        if part:
            kept.append((name, part))
        return kept, left
    # No comma follows the last one.
    return kept, left + 1 if kept else left


def _size(value: Any) -> int:
    return len(_encode(value))
