"""What bodies say about a job. Pure, and lenient: a value of the wrong type counts as absent, and
nothing raises."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

from receiver.domain.answers import Report
from receiver.providers.described.description import (
    STATUS_OF,
    Description,
    Errors,
    Words,
    word_key,
)
from receiver.providers.described.pointers import NO_HEADERS, Place, Pointer
from receiver.upstream import parsing
from receiver.upstream.contract import Headers
from store.records.jobs import Status

_NULL: Final = object()
_ENDS_WITHOUT_RESULT: Final = frozenset({Status.FAILED, Status.CANCELLED})


@dataclass(frozen=True)
class Reader:
    """Reads one kind of body: answers to status calls, or callbacks."""

    root: Pointer
    """Where the other places begin."""
    id: Place
    word: Place | None
    words: Words
    absent: str | None
    failed_if: Place | None
    result: Place | None
    """None if these bodies have no result."""
    error: Place | None
    progress: Place | None
    progress_scale: float
    measured: Mapping[str, Place]

    @cached_property
    def _statuses(self) -> Mapping[str, Status]:
        return self.words.statuses()

    def read(self, body: Any, headers: Mapping[str, str] = NO_HEADERS) -> Report:
        """What the body says; not yet cleaned. The names of headers are in lower case."""
        try:
            part = self.root.find(body)
        except KeyError:
            part = None
        word = _first(self.word, part, _word, headers)
        status = self._status(word)
        if status is Status.COMPLETED and _first(self.failed_if, part, _something, headers):
            status = Status.FAILED
        completed, ended_without = status is Status.COMPLETED, status in _ENDS_WITHOUT_RESULT
        return Report(
            status=status,
            provider_status=None if word is None else parsing.clean_text(word),
            progress=self._progress(part),
            result=read_result(self.result, part) if completed else None,
            message=read_text(self.error, part, headers) if ended_without else None,
            provider_request_id=_first(self.id, part, read_id, headers),
            measured={
                found: amount
                for name, place in self.measured.items()
                for found, amount in _measured(name, place, part).items()
            },
        )

    def _status(self, word: str | None) -> Status | None:
        """None if the word is unknown."""
        if word is not None:
            return self._statuses.get(str(word_key(word)))
        return None if self.absent is None else STATUS_OF[self.absent]

    def _progress(self, part: Any) -> float | None:
        given: float | None = _first(self.progress, part, _number)
        if given is None or not 0 <= given <= self.progress_scale:
            return None
        return given / self.progress_scale * 100


def status_reader(description: Description) -> Reader:
    """Reads the answers to status calls."""
    read, result = description.read, description.result
    return Reader(
        root=Pointer(()),
        id=description.submit.id,
        word=read.word,
        words=read.words,
        absent=read.absent,
        failed_if=read.failed_if,
        result=None if result.path is not None else read.result,
        error=read.error,
        progress=read.progress,
        progress_scale=read.progress_scale,
        measured=read.measured,
    )


def callback_reader(description: Description) -> Reader:
    """Reads callbacks: as the answers to status calls, but for what `[callback]` says."""
    given = description.callback
    base = status_reader(description)
    return replace(
        base,
        root=given.root,
        id=given.id or base.id,
        word=given.word or base.word,
        words=given.words or base.words,
        absent=given.absent or base.absent,
        failed_if=given.failed_if or base.failed_if,
        result=None if given.thin or description.result.file else given.result or base.result,
        error=given.error or base.error,
    )


def header_map(headers: Headers) -> dict[str, str]:
    """The headers by name in lower case; of several with a name, the first."""
    found: dict[str, str] = {}
    for name, value in headers:
        found.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
    return found


def read_id(value: Any) -> str | None:
    """A valid id: it becomes part of paths, so it is not one that leads out of them."""
    found = parsing.read_id(value)
    return None if found in (".", "..") else found


def read_result(place: Place | None, body: Any) -> Mapping[str, Any] | None:
    """The result that is there: what is no object becomes the member `output`. Null counts only if
    nothing else is there."""
    found = _first(place, body, lambda value: value)
    if found is None and _first(place, body, lambda _: _NULL) is None:
        return None
    return found if isinstance(found, dict) else {"output": found}


def read_text(
    place: Place | None, body: Any, headers: Mapping[str, str] = NO_HEADERS
) -> str | None:
    """A text that is there, or else what else is there, as JSON."""
    text = _first(place, body, parsing.first_text, headers)
    other = None if text else _first(place, body, _something)
    return text or (other and json.dumps(parsing.clean(other), ensure_ascii=False))


# --- errors ---------------------------------------------------------------------------------------


def status_code_meant(errors: Errors, body: Mapping[str, Any]) -> int | None:
    """The HTTP status that the code in a 2xx answer counts as; None if it is no error."""
    code = _first(errors.code, body, word_key)
    if code is None:
        return None
    for codes, meant in ((errors.busy, 429), (errors.denied, 401)):
        if code in map(word_key, codes):
            return meant
    return 400 if errors.ok and code not in map(word_key, errors.ok) else None


def read_delay(errors: Errors, body: Mapping[str, Any]) -> Any:
    """The seconds after which to try again, not checked."""
    return _first(errors.retry_after, body, lambda value: value)


# --------------------------------------------------------------------------------------------------


def _first(
    place: Place | None,
    body: Any,
    read: Callable[[Any], Any],
    headers: Mapping[str, str] = NO_HEADERS,
) -> Any:
    return None if place is None else place.first(body, read, headers)


def _word(value: Any) -> str | None:
    """The provider's word as a text, as it is."""
    if isinstance(value, str):
        return value.strip() or None
    return word_key(value)


def _something(value: Any) -> Any:
    return value or None


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) < 1e15 else None


def _measured(name: str, place: Place, body: Any) -> Mapping[str, Any]:
    found = place.first(body, lambda value: value)
    return parsing.read_measured(name, found, int, float, str)
