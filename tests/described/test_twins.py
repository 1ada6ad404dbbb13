"""Invented providers against their simulated twins, over real HTTP: a job of each is submitted,
polled, called back, refused, failed and cancelled."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from receiver.clock import SystemClock
from receiver.domain.answers import (
    Report,
    StatusReport,
    StatusUnavailable,
    SubmitAccepted,
    SubmitAmbiguous,
    SubmitRefused,
)
from receiver.json_text import parse
from receiver.providers.described.simulator import JWKS, DescribedApi, twin_secret
from receiver.providers.described.upstream import Access, Described
from receiver.simulator.faults import SimulatorRules
from receiver.simulator.run import simulator
from receiver.upstream.api import Account
from receiver.upstream.contract import UpstreamJob
from store.records.jobs import Status
from store.rows import to_json
from tests.described.shapes import SHAPES
from tests.http_api.relay_sink import Message, Sink, relay_sink

KEY = "the-operators-key"
INPUT = {"prompt": "A heron", "seconds": "5"}
each_shape = pytest.mark.parametrize("name", SHAPES)
with_status = pytest.mark.parametrize("name", [n for n, one in SHAPES.items() if one.status])


@dataclass
class Twin:
    provider: Described
    sink: Sink
    url: str

    @property
    def kind(self) -> str:
        return self.provider.absent_job.kind

    async def submit(self, **changes: Any) -> Any:
        kind = changes.pop("kind", self.kind)
        text = to_json(INPUT | changes)
        return await self.provider.submit(kind, text, f"{self.sink.url}/token?a=1", "job_1")

    async def accepted(self) -> UpstreamJob:
        said = await self.submit()
        assert isinstance(said, SubmitAccepted), said
        assert said.provider_request_id is not None
        return UpstreamJob(said.provider_request_id, self.kind, said.urls or {})

    async def status(self, job: UpstreamJob) -> Report:
        said = await self.provider.status(job)
        assert isinstance(said, StatusReport), said
        assert said.report.provider_request_id in (job.id, None)
        return said.report

    async def read(self, callback: Message) -> tuple[Report, bool | None]:
        """What a callback says, and whether it is verified."""
        pseudo = [(b":method", b"POST"), (b":path", b"/token?a=1")]
        headers = [*pseudo, *((k.encode(), v.encode()) for k, v in callback.headers.items())]
        report = self.provider.read_callback(parse(callback.body.decode()), headers)
        verify = self.provider.verifier(headers)
        return report, None if verify is None else await verify(callback.body)


@asynccontextmanager
async def twin(
    name: str, seconds: float = 0.2, key: str = KEY, **faults: Any
) -> AsyncIterator[Twin]:
    one, clock = SHAPES[name], SystemClock()
    secret = twin_secret(one)
    api = DescribedApi(one, secret, KEY)
    async with relay_sink() as sink:
        rules = SimulatorRules(render_seconds=seconds, **faults)
        async with simulator(rules, clock, api) as url:
            account = Account(name, url, key, clock, submit_timeout=2)
            keys = one.signature and one.signature.keys
            access = Access(() if keys else (secret,), f"{url}/{JWKS}")
            provider = Described(one, account, access)
            provider.start()
            yield Twin(provider, sink, url)
            await provider.close()


async def ended(run: Twin, job: UpstreamJob) -> Report:
    while True:
        report = await run.status(job)
        if report.status in (Status.COMPLETED, Status.FAILED, Status.CANCELLED):
            return report


@with_status
async def test_a_job_is_polled_to_its_result(name: str) -> None:
    async with twin(name) as run:
        job = await run.accepted()
        if job.urls:
            assert all(url.startswith(f"{run.url}/") for url in job.urls.values())
        report = await run.status(job)
        assert report.status in (Status.PENDING, Status.IN_PROGRESS)
        report = await ended(run, job)
        assert report.status is Status.COMPLETED
        assert report.result is not None
        one = SHAPES[name]
        assert report.measured.keys() == one.read.measured.keys()
        if one.result.file is not None:
            link = next(iter(report.result.values()))
            assert link == report.result["file"] == f"{run.url}/v1/videos/{job.id}/content"
        if one.result.file is not None or one.result.needs_key:
            link = report.result.get("file") or report.result["url"]
            headers = run.provider.headers_for(link)
            async with httpx.AsyncClient(trust_env=False) as http:
                assert (await http.get(link)).status_code == 401
                assert (await http.get(link, headers=headers)).content.startswith(b"\x1aE\xdf\xa3")
            assert run.provider.headers_for("https://elsewhere.example/x") == {}


@each_shape
async def test_a_job_is_called_back(name: str) -> None:
    one = SHAPES[name]
    async with twin(name) as run:
        job = await run.accepted()
        reader_words = one.callback.words or one.read.words
        report = Report()
        for arrived in await run.sink.arrived(4 if reader_words.processing else 1):
            report, verified = await run.read(arrived)
            assert report.provider_request_id == job.id
            signature = one.signature
            assert verified is (None if signature is None else signature.covers_body)
        assert report.status is Status.COMPLETED
        thin = one.callback.thin or one.result.file
        assert (report.result is None) == bool(thin)
        assert report.is_only_word == one.callback.only
        if one.status is not None and report.lacks_result:
            said = await run.provider.result(job)
            assert isinstance(said, StatusReport)
            assert said.report.result is not None


@each_shape
async def test_a_job_fails_in_words(name: str) -> None:
    async with twin(name, fail_jobs=1) as run:
        job = await run.accepted()
        (*_, last) = await run.sink.arrived(1)
        if SHAPES[name].status is None:
            report, _ = await run.read(last)
        else:
            report = await ended(run, job)
        assert report.status is Status.FAILED
        assert report.message == "The video model gave up on this prompt."


@pytest.mark.parametrize("name", [name for name, one in SHAPES.items() if one.cancel])
async def test_a_job_is_cancelled(name: str) -> None:
    async with twin(name, seconds=60) as run:
        job = await run.accepted()
        assert (await run.provider.cancel(job)).outcome == "accepted"
        assert (await run.status(job)).status is Status.CANCELLED


@each_shape
async def test_what_the_description_refuses_is_refused(name: str) -> None:
    async with twin(name, seconds=60) as run:
        said = await run.submit(kind="\u00e4")
        assert isinstance(said, SubmitRefused | SubmitAmbiguous), said
        assert await run.sink.arrived(0) == []
    async with twin(name, seconds=60, key="another-key") as run:
        said = await run.submit()
        assert isinstance(said, SubmitRefused)
        assert said.credentials_refused
        assert "invalid" in said.message


@each_shape
async def test_faults_of_the_simulator(name: str) -> None:
    async with twin(name, busy=1) as run:
        said = await run.submit()
        assert said.retry_after == 1_000
        if SHAPES[name].status is not None:
            again = await run.provider.status(run.provider.absent_job)
            assert not isinstance(again, StatusReport)
    async with twin(name, server_errors=1) as run:
        assert isinstance(await run.submit(), SubmitAmbiguous)


@with_status
async def test_a_probe_shows_whether_the_key_is_accepted(name: str) -> None:
    for key, refused in ((KEY, False), ("another", True)):
        async with twin(name, key=key) as run:
            said = await run.provider.probe()
            is_refused = isinstance(said, StatusUnavailable) and said.credentials_refused
            assert is_refused == refused
