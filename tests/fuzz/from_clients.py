"""Readers of what clients send: bodies, queries, headers, and values that we have signed."""

import asyncio
import contextlib
import json
from types import SimpleNamespace
from typing import cast
from unittest.mock import AsyncMock

import httpx
from starlette.requests import Request

from receiver.config.environment import load
from receiver.domain.serialization import compact_json
from receiver.http_api import queries, tickets
from receiver.http_api.archived import read_file_number
from receiver.http_api.auth import Caller
from receiver.http_api.body import parse_object
from receiver.http_api.context import ApiContext
from receiver.http_api.create_job import MAX_WAIT_SECONDS, preferred_wait
from receiver.http_api.deliveries import list_deliveries
from receiver.http_api.errors import Problem
from receiver.http_api.idempotency import fingerprint, read_key
from receiver.http_api.jobs import list_jobs
from receiver.http_api.queries import MAX_LIMIT
from receiver.http_api.responses import etag_matches
from receiver.http_api.sessions import Sessions
from receiver.http_api.validation import read_job
from receiver.net.retry_after import LONGEST_RETRY_AFTER, read_retry_after
from receiver.providers.registry import Providers
from receiver.providers.settings import ServiceSettings, with_providers
from receiver.signed_text import Purpose, Signer
from receiver.streams.frames import read_cursor
from receiver.webhooks.network import host_header
from receiver.webhooks.targets import LONGEST_URL, TargetRefused, check_url
from store.job_reads import JobFilter
from tests.fuzz.from_providers import CLOCK, KINDS, NOW, storable

KEYS = ["fuzz-" * 8]
JOB_ID = "job_01M8C5X41QP3E2509F7MG0XVHE"
SIGNER = Signer(KEYS)
SESSIONS = Sessions(SIGNER, CLOCK, secure=True)
CALLER = Caller(user_id=1, user="ada", admin=False, key_hash="ab")
YEARS = 400 * 366 * 86_400 * 1_000 * 26
"""An upper bound on how many milliseconds a time in a query can lie from 1970."""
KNOWN_KINDS = Providers(load(with_providers(ServiceSettings), provider="sandbox")).known_kinds()
NAMED = {provider.name: provider for provider in KINDS}
SERVICE = cast(
    ApiContext,
    SimpleNamespace(
        settings=SimpleNamespace(relay_allow_http=False, relay_allow_nets=[]),
        services=SimpleNamespace(providers=NAMED, default_provider="samsar", clock=CLOCK),
    ),
)


def body(raw: bytes) -> None:
    """A request's body: parsed JSON survives being written and parsed again."""
    try:
        value = parse_object(raw)
    except Problem as problem:
        if problem.status != 400:
            raise
        return
    assert parse_object(compact_json(value)) == value
    assert len(fingerprint(value)) == 64


def headers(raw: bytes) -> None:
    """A request's headers: key, times, waits, conditions, cursors."""
    for line in raw.split(b"\n"):
        text = line.decode("latin-1")
        waits = read_retry_after(text, NOW)
        assert waits is None or 0 <= waits <= LONGEST_RETRY_AFTER
        cursor = read_cursor(text)
        assert cursor is None or (read_cursor(str(cursor)) == cursor and cursor.seq < 2**63)
        etag_matches(text, '"tag"')
        request = Request(
            {
                "type": "http",
                "path": "/",
                "headers": [(b"idempotency-key", line), (b"prefer", line)],
            }
        )
        assert 0 <= (preferred_wait(request) or 0) <= MAX_WAIT_SECONDS
        with contextlib.suppress(Problem):
            key = read_key(SERVICE, request, {}, 0)
            assert key is not None
            assert 1 <= len(key.key) <= len(text)
        key_hash = SESSIONS.key_hash({"type": "http", "headers": [(b"cookie", line)]})
        assert key_hash is None or key_hash.isascii()


def signed(raw: bytes) -> None:
    """Tokens, tickets and cursors: whatever is accepted is exactly what we would sign."""
    text = raw.decode("latin-1")
    if (path := SIGNER.verify(Purpose.CALLBACK, text)) is not None:
        assert SIGNER.sign(Purpose.CALLBACK, path) == text
    if (ticket := tickets.read(SIGNER, text, NOW)) is not None:
        assert tickets.issue(SIGNER, ticket) == text
    with contextlib.suppress(Problem):
        last = queries.read_cursor(SIGNER, "jobs", 1, text)
        assert queries.write_cursor(SIGNER, "jobs", 1, last) == text


def address(raw: bytes) -> None:
    """A webhook URL: httpx can call what was checked, and reads it as the same host."""
    text = raw.decode("utf-8", errors="surrogateescape")
    try:
        check_url(text, allow_http=True, allow_nets=[])
    except TargetRefused as refused:
        storable(str(refused))
        return
    assert len(text) <= LONGEST_URL
    called = httpx.Request("POST", text, headers={"Host": host_header(text)}).url
    check_url(str(called), allow_http=True, allow_nets=[], longest=3 * LONGEST_URL)
    assert called.raw_host.decode() in text.lower()


def query(raw: bytes) -> None:
    """The query of a list: it is valid, or refused with 400 or 403."""
    request = Request({"type": "http", "headers": [], "query_string": raw})
    with contextlib.suppress(Problem):
        assert 1 <= (read_file_number(request) or 1) < 10_000
    part = SimpleNamespace(list_page=AsyncMock(return_value=([], None)))
    store = SimpleNamespace(jobs=part, deliveries=part)
    services = SimpleNamespace(store=store, known_kinds=KNOWN_KINDS)
    settings = SimpleNamespace(root="")
    given = SimpleNamespace(signer=SIGNER, services=services, settings=settings)
    context = cast(ApiContext, given)
    for endpoint in (list_jobs, list_deliveries):
        with contextlib.suppress(Problem):
            asyncio.run(endpoint(context, request, CALLER))
    for call in part.list_page.await_args_list:
        *_, where, _, limit = call.args
        assert 1 <= limit <= MAX_LIMIT
        if isinstance(where, JobFilter):
            for at in (where.created_after, where.created_before):
                assert at is None or abs(at) < YEARS
        else:
            assert (where.host is None) == ("host" not in request.query_params)


def submitted(raw: bytes) -> None:
    """The body of `POST /v1/jobs`: a submission that can be stored, or refused with 400."""
    try:
        value = parse_object(raw)
    except Problem:
        return
    for provider in (None, *NAMED):
        named = value if provider is None else value | {"provider": provider}
        try:
            made = read_job(SERVICE, named)
        except Problem as problem:
            if problem.status != 400:
                raise
            compact_json(problem.document())
            continue
        stored = [made.kind, made.input, made.webhook_url, made.metadata]
        assert json.loads(compact_json({"job": stored}))["job"] == stored
