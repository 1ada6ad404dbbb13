"""Truncates a provider's result for the job's row, and finds the links in it. Pure."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

RESULT_BYTES: Final = 64 * 1024
"""Maximum size of a job's result as JSON. A longer one is truncated, and stored whole elsewhere."""
LONGEST_LINK: Final = 8_192
"""Maximum length of a link that is called, in characters."""

_MARK: Final[dict[str, Any]] = {"truncated": True}

_encode: Final = json.JSONEncoder(separators=(",", ":")).encode


def truncate_result(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """The result itself if it is small enough; otherwise `{"truncated": true}`, with its `videoUrl`
    if it has one."""
    if _is_small(result):
        return result
    link = {"videoUrl": result["videoUrl"]} if "videoUrl" in result else {}
    return _MARK | link if _is_small(_MARK | link) else _MARK


def _is_small(result: Mapping[str, Any]) -> bool:
    return len(_encode(result)) <= RESULT_BYTES


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
