"""Serves result files from the archive."""

import asyncio
import os
import re
from pathlib import Path

import structlog
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response

from receiver.archive.contract import ArchiveUnavailable
from receiver.http_api.context import ApiContext
from receiver.http_api.errors import Problem, bad_query
from receiver.http_api.responses import NO_STORE, etag_matches
from store.records.archive import ArchivedFile
from store.records.jobs import Job

HEADERS = {
    # HTML or SVG in a result must not run scripts on our origin.
    "Content-Security-Policy": "sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-cache",
}

FIND_SECONDS = 5.0
"""How long to wait for the disk, or for the service that issues the bucket's credentials."""

_RANGE = re.compile(r"bytes=(?:([0-9]{1,15})-([0-9]{0,15})|-([0-9]{1,15}))")

log = structlog.get_logger()


def read_file_number(request: Request) -> int | None:
    """`?n=`, if it is given. Raises Problem 400."""
    text = request.query_params.get("n")
    if text is not None and not re.fullmatch(r"[1-9][0-9]{0,3}", text):
        raise bad_query("n", "must be a whole number from 1 (the main file) to 9999")
    return None if text is None else int(text)


async def archived_file(
    context: ApiContext, request: Request, job: Job, number: int
) -> Response | None:
    """The response with the file of this number, or a redirect to it in the bucket; None if it is
    not stored or cannot be read now. Raises Problem 416 for a range outside the file."""
    if number > len(job.archive):
        return None
    file = job.archive[number - 1]
    found = await _find(context, file)
    if isinstance(found, tuple):
        return _serve(request, file, *found)
    return None if found is None else redirect(found)


def redirect(link: str) -> Response:
    """A redirect to the link, percent-encoded: links may contain characters that are invalid in
    headers."""
    return RedirectResponse(link, status_code=302, headers=NO_STORE)


async def _find(
    context: ApiContext, file: ArchivedFile
) -> tuple[Path, os.stat_result] | str | None:
    """The file in the archive's folder, or its link in the bucket."""
    if context.archive is None or file.key is None:
        return None
    try:
        async with asyncio.timeout(FIND_SECONDS):
            found = await context.archive.find(file.key, file.bytes or 0)
            if isinstance(found, str):
                return found
            # The response would look for the file again, which retention may have removed.
            return found, await asyncio.to_thread(found.stat)
    except (ArchiveUnavailable, OSError, TimeoutError) as error:
        reason = str(error) or f"no answer within {FIND_SECONDS:g} s"
        log.warning("a stored file cannot be read", key=file.key, reason=reason)
        return None


def _serve(request: Request, file: ArchivedFile, path: Path, stat: os.stat_result) -> Response:
    tag = f'"{file.sha256}"'
    headers = HEADERS | {"ETag": tag}
    if etag_matches(request.headers.get("if-none-match"), tag):
        return Response(status_code=304, headers=headers)
    if not _takes_range(request, tag, file.bytes or 0):
        # RFC 9110, 14.2: a server may ignore Range. We do if it is malformed, does not apply, or
        # has several ranges.
        del MutableHeaders(scope=request.scope)["range"]
    return FileResponse(
        path,
        # Not as `media_type`: Starlette would add a charset, which is not known, to a text type.
        headers=headers | {"Content-Type": str(file.content_type)},
        stat_result=stat,
        filename="-".join(path.parts[-2:]),
        content_disposition_type="inline",
    )


def _takes_range(request: Request, tag: str, size: int) -> bool:
    """Whether to answer with a single range; several ranges are answered with the whole file.
    Raises Problem 416."""
    match = _RANGE.fullmatch(request.headers.get("range", ""))
    if request.method != "GET" or match is None:
        return False
    if request.headers.get("if-range", tag) != tag:
        return False
    first, last, suffix = match.groups()
    if first and last and int(last) < int(first):
        return False
    if int(first or 0) >= size or (suffix and int(suffix) == 0):
        raise Problem(
            416,
            "range_not_satisfiable",
            f"The file has {size:,} bytes.",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return True
