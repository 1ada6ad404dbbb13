"""Truncates a provider's result for the job's row, and finds the links in it. Pure."""

import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from receiver.domain.serialization import compact_json

RESULT_BYTES: Final = 64 * 1024
"""Maximum size of a job's result as JSON. A longer one is truncated, and stored whole elsewhere."""

_MARK: Final = {"truncated": True}


def fitting_result(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """The result itself if it is small enough; otherwise a truncated copy.

    The copy has the members in order while they fit. The last one is cut short if it is a list, a
    string or an object. `"truncated": true` is added. A `videoUrl` goes first: without the link, a
    result is useless.
    """
    if len(compact_json(result)) <= RESULT_BYTES:
        return result
    first = {name: result[name] for name in ("videoUrl",) if name in result}
    cut: dict[str, Any] = _beginning({**first, **result}, RESULT_BYTES - len(compact_json(_MARK)))
    return cut | _MARK


def links_of(result: Mapping[str, Any]) -> list[str]:
    """The `http(s)` links in a result, each once, in order; a `videoUrl` first."""
    found = dict.fromkeys(_texts([result.get("videoUrl"), result]))
    return [text for text in found if text.lower().startswith(("http://", "https://"))]


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case Mapping():
            for item in value.values():
                yield from _texts(item)
        case list():
            for item in value:
                yield from _texts(item)
        case _:
            return


def _beginning(value: Any, room: int) -> Any:
    """The beginning of the value that fits in `room` bytes of JSON; None if nothing fits."""
    match value:
        case str() if room >= 2:
            # The quotes take two bytes, and each character takes at least one.
            ends = range(1, min(len(value), room - 2) + 1)
            return value[: bisect_right(ends, room, key=lambda end: _size(value[:end]))]
        case list() if room >= 2:
            return [item for _, item in _while_fitting(((None, item) for item in value), room)]
        case Mapping() if room >= 2:
            return dict(_while_fitting(value.items(), room))
        case _:
            return None


def _while_fitting(members: Iterable[tuple[Any, Any]], room: int) -> Iterator[tuple[Any, Any]]:
    room -= 2
    for name, item in members:
        room -= 0 if name is None else _size(name) + 1
        size = _size(item)
        if size <= room:
            yield name, item
            room -= size + 1
            continue
        cut = _beginning(item, room)
        if cut:
            yield name, cut
        return


def _size(value: Any) -> int:
    return len(json.dumps(value, separators=(",", ":")))
