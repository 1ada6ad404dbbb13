"""Every way in which a submission can fail, on a real socket: the state that the job gets, and how
many submissions the provider saw. docs/guarantees.md shows this table."""

import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import trustme

from receiver.domain import submission
from tests.providers import faulty_server as faulty
from tests.support.service import (
    MOVIE,
    eventually,
    history_of,
    job_of,
    metric,
    running_service,
    submit,
)

DOCUMENT = Path(__file__).parents[2] / "docs/guarantees.md"
ACCEPTED = b'{"request_id": "up-1"}'
LATER = {"Retry-After": "1"}
SILENT = faulty.stall_after(b"")


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    fault: str
    behaviour: faulty.Behaviour | str
    """What the provider does, or an address without a provider."""
    becomes: str
    """The job's `phase`, or `phase code`."""
    seen: str
    """Submissions that reached the provider in the time of two attempts: `0`, `1`, or `again`."""
    tls: Callable[[], ssl.SSLContext] | None = None


def self_signed() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


TABLE = [
    Row("connection refused", "refused", "queued", "0"),
    Row("no address for the name", "http://nowhere.invalid/", "queued", "0"),
    Row("TLS failure", faulty.answer(200, ACCEPTED), "queued", "0", tls=self_signed),
    Row("429", faulty.answer(429), "queued", "again"),
    Row("429 with Retry-After", faulty.answer(429, headers=LATER), "queued", "again"),
    Row("503 with Retry-After", faulty.answer(503, headers=LATER), "queued", "again"),
    Row("503", faulty.answer(503), "submit_unconfirmed", "1"),
    Row("500", faulty.answer(500), "submit_unconfirmed", "1"),
    Row("502", faulty.answer(502), "submit_unconfirmed", "1"),
    Row("504", faulty.answer(504), "submit_unconfirmed", "1"),
    Row("accepted, then closed", faulty.close_at_once, "submit_unconfirmed", "0"),
    Row("reset after the request", faulty.reset_after_request, "submit_unconfirmed", "1"),
    Row("half an answer", faulty.answer(200, ACCEPTED, length=99), "submit_unconfirmed", "1"),
    Row("an answer that is no JSON", faulty.answer(200, b"<html>"), "submit_unconfirmed", "1"),
    Row("no answer in time", SILENT, "submit_unconfirmed", "1"),
    Row("400", faulty.answer(400), "finished provider_refused", "1"),
    Row("401", faulty.answer(401), "finished provider_credentials", "1"),
    Row("402", faulty.answer(402), "finished provider_refused", "1"),
    Row("403", faulty.answer(403), "finished provider_credentials", "1"),
    Row("404", faulty.answer(404), "finished provider_refused", "1"),
    Row("200 with an id", faulty.answer(200, ACCEPTED), "accepted", "1"),
]


@asynccontextmanager
async def provider(row: Row) -> AsyncIterator[tuple[str, faulty.FaultyServer]]:
    if isinstance(row.behaviour, str):
        url = faulty.refused_url() if row.behaviour == "refused" else row.behaviour
        yield url, faulty.FaultyServer()
    else:
        async with faulty.faulty_server(row.behaviour, row.tls() if row.tls else None) as server:
            yield server.url, server


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.fault)
async def test_a_fault(row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for two attempts, or for one of a later job: what is sent again has been by then."""
    monkeypatch.setattr(submission, "SUBMIT_BACKOFF_MIN", 100)
    async with (
        provider(row) as (url, server),
        running_service(
            tmp_path,
            provider="samsar",
            samsar_api_key="upstream",
            samsar_base_url=url,
            submit_timeout=0.5 if row.behaviour is SILENT else 60,
        ) as service,
    ):
        client = await service.user()
        job = await submit(client)
        phase, _, code = row.becomes.partition(" ")

        async def attempts() -> int:
            lines = await history_of(client, job["request_id"], "submission")
            return len(lines)

        wanted = 2 if phase == "queued" else 1
        await eventually(attempts, lambda count: count >= wanted, f"{wanted} attempts")
        seen = await job_of(client, job["request_id"])
        if phase == "queued":
            assert seen["phase"] in ("queued", "submitting")
        else:
            assert seen["phase"] == phase
        assert (seen["error"] or {}).get("code", "") == code
        if phase != "queued":
            service.clock.ahead_ms += 60_000
            later = await submit(client, input=MOVIE | {"prompt": "A later job"})
            sent = partial(history_of, client, later["request_id"], "submission")
            await eventually(sent, bool, "a later job's attempt")
        key_refused = await metric(
            service, 'receiver_provider_credentials_refused{provider="samsar"}'
        )
        assert key_refused == (code == "provider_credentials")
    assert server_saw(server) == row.seen


def server_saw(server: faulty.FaultyServer) -> str:
    seen = sum(MOVIE["prompt"].encode() in body for body in server.bodies)
    return "again" if seen > 1 else str(seen)


def test_the_document_has_this_table() -> None:
    rows = re.findall(r"^\| (.+?) \| `(.+?)` \| (\w+) \|$", DOCUMENT.read_text(), re.MULTILINE)
    assert rows == [(row.fault, row.becomes, row.seen) for row in TABLE]
