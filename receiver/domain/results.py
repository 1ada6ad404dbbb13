"""Truncates a provider's result for the job's row, and finds the links in it. Pure."""

import json
from collections.abc import Iterable, Mapping
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
    links: dict[str, None] = {}
    _collect_links([result.get("videoUrl"), *result.values()], links)
    return list(links)


def _collect_links(values: Iterable[Any], links: dict[str, None]) -> None:
    for value in values:
        if isinstance(value, dict):
            _collect_links(value.values(), links)
        elif isinstance(value, list):
            _collect_links(value, links)
        elif isinstance(value, str) and value[:8].lower().startswith(("http://", "https://")):
            links[value] = None
