"""More readers, as in `readers`: queries, ranges, submissions, results and their files, keys, and
the answers of other servers."""

import asyncio
import contextlib
import json
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import FileResponse

from receiver import http_client
from receiver.archive.contract import key_of, type_of
from receiver.domain import results as domain_results
from receiver.domain.results import fitting_result, links_of
from receiver.domain.serialization import compact_json
from receiver.http_api.application import _given_id
from receiver.http_api.archived import _read_number, _takes_range
from receiver.http_api.body import parse_object
from receiver.http_api.context import ApiContext
from receiver.http_api.deliveries import _filter, _retry_faults
from receiver.http_api.errors import Problem
from receiver.http_api.jobs import (
    _LIST_PARAMETERS,
    LONGEST_WAIT,
    _preferred_wait,
    _read_filter,
)
from receiver.http_api.queries import MAX_LIMIT, check_parameters, read_limit
from receiver.http_api.submissions import read_job
from receiver.json_text import UnreadableJson, decode, parse
from receiver.providers.contract import Provider
from receiver.providers.fal_report import read_keys
from receiver.providers.replicate import read_secret

FILE_BYTES = 1_000
"""The length of the file of which ranges are asked."""
ROOM = 100
"""What is shown of a result, in the place of 64 KiB."""
YEARS = 400 * 366 * 86_400 * 1_000 * 26
"""More milliseconds than any time in a query is from 1970."""


def query(providers: Mapping[str, Provider], raw: bytes) -> None:
    """The query of a list: a page that can be looked for, or 400."""
    request = Request({"type": "http", "headers": [], "query_string": raw})
    with contextlib.suppress(Problem):
        check_parameters(request, *_LIST_PARAMETERS)
    with contextlib.suppress(Problem):
        assert 1 <= read_limit(request) <= MAX_LIMIT
    with contextlib.suppress(Problem):
        assert 1 <= (_read_number(request) or 1) < 10_000
    with contextlib.suppress(Problem):
        where = _read_filter(request, providers)
        for at in (where.created_after, where.created_before):
            assert at is None or abs(at) < YEARS
    params = QueryParams(raw)
    if not _retry_faults(dict(params) | {"state": "exhausted"}):
        where_sent = _filter(1, "exhausted", params)
        assert (where_sent.host is None) == ("host" not in params)
        assert 0 <= (where_sent.port or 0) < 10**5


def ranges(raw: bytes) -> None:
    """The range of a file, a line of If-Range before it: one that can be sent, or the whole file.
    Then a request's id and how long it would wait."""
    condition, _, wanted = raw.partition(b"\n")
    pairs = [(b"range", wanted), (b"prefer", wanted), (b"x-request-id", wanted)]
    pairs += [(b"if-range", condition)] if condition else []
    request = Request({"type": "http", "method": "GET", "headers": pairs, "query_string": b""})
    with contextlib.suppress(Problem):
        if _takes_range(request, '"tag"', FILE_BYTES):
            [(start, end)] = FileResponse._parse_range_header(wanted.decode("latin-1"), FILE_BYTES)
            assert 0 <= start < end <= FILE_BYTES
    assert 0 <= (_preferred_wait(request) or 0) <= LONGEST_WAIT
    assert (_given_id(request.scope) or "").isprintable()


def submitted(providers: Mapping[str, Provider], raw: bytes) -> None:
    """The body of `POST /v1/jobs`: a submission that can be stored, or its faults as 400."""
    try:
        value = parse_object(raw)
    except Problem:
        return
    settings = SimpleNamespace(provider="samsar", relay_allow_http=False, relay_allow_nets=[])
    services = SimpleNamespace(providers=providers)
    context = cast(ApiContext, SimpleNamespace(settings=settings, services=services))
    for provider in (None, *providers):
        named = value if provider is None else value | {"provider": provider}
        try:
            made = read_job(context, named)
        except Problem as problem:
            if problem.status != 400:
                raise
            compact_json(problem.document())
            continue
        stored = [made.kind, made.input, made.webhook_url, made.metadata]
        assert json.loads(compact_json({"job": stored}))["job"] == stored


def results(raw: bytes) -> None:
    """A result, and what a host says of a file of it: what is shown fits, what is kept is named by
    us alone."""
    told, _, content = raw.partition(b"\n")
    media_type = type_of(told.decode("latin-1"), content.decode("latin-1"))
    assert media_type.isascii()
    assert media_type.isprintable()
    _, name, number = key_of("ada", "job_1", 1, media_type).split("/")
    assert (name, number.partition(".")[0]) == ("job_1", "1")
    result = _object(content)
    with patch.object(domain_results, "RESULT_BYTES", ROOM):
        shown = fitting_result(result)
    assert len(compact_json(shown)) <= ROOM
    assert shown == result or shown["truncated"] is True
    links = links_of(result)
    assert len(set(links)) == len(links)


def keys(raw: bytes) -> None:
    """What providers answer when they are asked for the keys of their signatures."""
    read_secret(raw.decode("latin-1"))
    for key in read_keys(_object(raw)):
        assert len(key.public_bytes_raw()) == 32


def exchange(raw: bytes) -> None:
    """An answer to a request of ours: it is the same in whatever pieces it comes, which the first
    byte says, and in the end it is complete or has failed."""
    size, content = 1 + int.from_bytes(raw[:1], "big") % 16, raw[1:]
    pieces = [content[at : at + size] for at in range(0, len(content), size)]
    *whole, reusable = _answered([content])
    *same, reusable_too = _answered(pieces)
    assert same == whole
    # A line end that comes by itself after the answer closes the connection.
    assert reusable or not reusable_too
    status, complete, failure, *_ = whole
    assert complete == (failure is None)
    assert not complete or 200 <= status < 1_000


def _answered(pieces: Iterable[bytes]) -> tuple[Any, ...]:
    """What an answer in these pieces is, and whether its connection can be used again."""
    connection = http_client.Connection()
    connection.connection_made(_Line())
    response = connection._response = http_client.Response(connection)
    for piece in pieces:
        connection.data_received(piece)
    body, fields = bytes(response._body), response._fields if response.status else []
    response._body.clear()
    reusable = connection.is_reusable
    connection.eof_received()
    failure = None if response._failure is None else str(response._failure)
    return response.status, response.is_complete, failure, fields, body, reusable


class _Line(asyncio.Transport):
    """What a connection needs of a transport."""

    closing = False

    def is_closing(self) -> bool:
        return self.closing

    def abort(self) -> None:
        self.closing = True


def _object(raw: bytes) -> dict[str, Any]:
    """The JSON object; an empty one where it is none."""
    try:
        value = parse(decode(raw))
    except UnreadableJson:
        return {}
    return value if isinstance(value, dict) else {}
