"""Finds the files of a result and schedules their downloads."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from itertools import accumulate, takewhile
from typing import Any

from receiver.domain.draft import Draft
from receiver.domain.observations import DownloadEnded, FileFailed, FileStored
from receiver.domain.results import links_of
from receiver.domain.schedule import DAY, HOUR, SECOND, backoff
from store.records.archive import ArchivedFile, FileState
from store.records.jobs import Job
from store.records.times import Due, Lane, Millis

MAX_LINKS = 100
"""Maximum number of links kept per result (the first ones), as every change writes them all."""
MAX_LINK_CHARACTERS = 64 * 1024
"""Maximum length of all links kept per result, for the same reason."""
LINK_LIFE = 7 * DAY
"""How long a download is tried: no provider is known to keep a link for longer."""
GAP_MIN = 5 * SECOND


def begin(draft: Draft, result: Mapping[str, Any]) -> None:
    """Schedule the downloads of a job that has just completed."""
    if not draft.rules.archive:
        return
    links = links_of(result)[:MAX_LINKS]
    ends = accumulate(map(len, links))
    kept = takewhile(lambda pair: pair[1] <= MAX_LINK_CHARACTERS, zip(links, ends, strict=True))
    _set(draft, tuple(ArchivedFile(link, next_try_at=draft.now) for link, _ in kept))


def next_file(job: Job) -> int | None:
    """Index of the file to download next; None if none is pending, or none is known yet."""
    pending = [
        (file.next_try_at, index)
        for index, file in enumerate(job.archive)
        if file.next_try_at is not None
    ]
    return min(pending)[1] if pending else None


def is_settled(job: Job) -> bool:
    """Whether each file is stored or given up. This creates an event, but no webhook."""
    return bool(job.archive) and next_file(job) is None


def apply_download(draft: Draft, ended: DownloadEnded) -> None:
    """Apply the outcome of an attempt; a stale one changes nothing."""
    files = draft.job.archive
    before = files[ended.index] if ended.index < len(files) else None
    if before is None or before.state is not FileState.PENDING or before.tries != ended.tries:
        return
    after = replace(before, tries=before.tries + 1, next_try_at=None)
    match ended.outcome:
        case FileStored() as stored:
            after = replace(after, state=FileState.STORED, error=None, **asdict(stored))
        case FileFailed(error, final):
            at = None if final else _next_try(draft, after.tries)
            state = FileState.FAILED if at is None else FileState.PENDING
            after = replace(after, state=state, next_try_at=at, error=error)
    _set(draft, (*files[: ended.index], after, *files[ended.index + 1 :]))


def _next_try(draft: Draft, tries: int) -> Millis | None:
    """5 s after the first attempt, doubling to an hour; the last one when the link expires."""
    end = (draft.job.done_at or draft.now) + LINK_LIFE
    gap = backoff(tries, GAP_MIN, HOUR)
    return min(draft.now + gap, end) if draft.now < end else None


def _set(draft: Draft, files: tuple[ArchivedFile, ...]) -> None:
    at = min((file.next_try_at for file in files if file.next_try_at is not None), default=None)
    draft.set(archive=files, due=None if at is None else Due(Lane.ARCHIVE, at))
