"""The calls of a described provider: what is sent where, and how answers count."""

from typing import Any
from uuid import UUID

import pytest

from receiver.clock import SystemClock
from receiver.domain.answers import (
    StatusMissing,
    StatusReport,
    StatusUnavailable,
    SubmitAccepted,
    SubmitAmbiguous,
    SubmitNotSent,
    SubmitRefused,
)
from receiver.providers.described.upstream import Access, Described
from receiver.upstream.api import Account, Api
from receiver.upstream.contract import UpstreamJob
from store.records.jobs import Status
from tests.described.files import HEAD, READ, STATUS, SUBMIT, WORDS, described
from tests.described.shapes import SHAPES
from tests.providers.conformance.subjects import (
    CALLBACK,
    KEY,
    as_headers,
    closing,
    sign_replicate,
)
from tests.providers.path_server import PathServer, path_server

UP_1 = UpstreamJob("up-1", "draw/heron", {})


def made(name: str, server: PathServer, *secrets: str, key: str = KEY) -> Described:
    account = Account(name, f"{server.origin}/api", key, SystemClock())
    return Described(SHAPES[name], account, Access(secrets, new_uuid=lambda: UUID(int=7)))


async def submitted(one: Described, kind: str, job_input: str = '{"prompt": "x"}') -> Any:
    return await one.submit(kind, job_input, CALLBACK, "job_1")


# --- submissions ----------------------------------------------------------------------------------


async def test_what_is_sent() -> None:
    answers = {"POST /api/text/generate": (200, {"ErrCode": 0, "Resp": {"video_id": 12}})}
    async with path_server(answers) as server, closing(made("numbers", server)) as one:
        assert await submitted(one, "text/v5") == SubmitAccepted("12")
    (call,) = server.calls
    assert call.query == {"hook": CALLBACK}
    assert call.json == {"prompt": "x", "model": "v5"}
    assert call.headers["api-key"] == KEY
    assert call.headers["trace-id"] == str(UUID(int=7))
    assert call.headers["content-type"] == "application/json"


async def test_the_key_of_idempotency_is_our_request_id() -> None:
    table = 'deduplicates = { header = "Idempotency-Key", for = 60 }\nbody = { n = "{uuid}" }\n'
    one = described(submit=SUBMIT + table)
    async with path_server({"POST /jobs/a": (200, {"id": "x"})}) as server:
        account = Account("one", server.origin, KEY, SystemClock())
        async with closing(Described(one, account)) as provider:
            for _ in range(2):
                await submitted(provider, "a")
    assert [call.headers["idempotency-key"] for call in server.calls] == ["job_1"] * 2
    first, second = (call.json for call in server.calls)
    assert first == second, "the same bytes, whenever it is sent"


async def test_a_secret_is_told_only_if_there_is_one() -> None:
    one = described(submit=SUBMIT + 'body = { secret = "{secret}", n = 1 }\n')
    async with path_server({"POST /jobs/a": (200, {"id": "x"})}) as server:
        account = Account("one", server.origin, KEY, SystemClock())
        for secrets in ((), ("new", "old")):
            async with closing(Described(one, account, Access(secrets))) as provider:
                await submitted(provider, "a")
    assert [call.json.get("secret") for call in server.calls] == [None, "new"]


async def test_without_a_key_no_header_has_it() -> None:
    one = described(head=HEAD.replace('base_url = "https://one.example"', ""))
    async with path_server({"POST /jobs/a": (200, {"id": "x"})}) as server:
        account = Account("one", server.origin, "", SystemClock())
        async with closing(Described(one, account)) as provider:
            await submitted(provider, "a")
    assert "x-key" not in server.calls[0].headers


@pytest.mark.parametrize(
    ("code", "expected"),
    [(0, SubmitAccepted), (500044, SubmitNotSent), (10005, SubmitRefused), (3, SubmitRefused)],
)
async def test_errors_in_a_200(code: int, expected: type) -> None:
    body = {"ErrCode": code, "ErrMsg": "Said so.", "retry_after": 2, "Resp": {"video_id": 1}}
    answers = {"POST /api/text/generate": (200, body), "GET /api/result/1": (200, body)}
    async with path_server(answers) as server, closing(made("numbers", server)) as one:
        said = await submitted(one, "text/v5")
        answer = await one.status(UpstreamJob("1", "text/v5", {}))
    assert type(said) is expected
    assert isinstance(answer, StatusUnavailable)
    if isinstance(said, SubmitNotSent):
        assert (said.status_code, said.retry_after, said.reason) == (429, 2_000, "Said so.")
        assert answer.retry_after == 2_000
    if isinstance(said, SubmitRefused):
        assert (said.credentials_refused, said.message) == (code == 10005, "Said so.")
    assert answer.credentials_refused == (code == 10005)
    assert answer.only_this_job == (code in (0, 3))


async def test_the_code_of_a_job_that_failed_is_its_reason() -> None:
    body = {"ErrCode": 1027, "ErrMsg": "Too much.", "Resp": {"video_id": 1, "status": 7}}
    async with (
        path_server({"GET /api/result/1": (200, body)}) as server,
        closing(made("numbers", server)) as one,
    ):
        said = await one.status(UpstreamJob("1", "text/v5", {}))
    assert isinstance(said, StatusReport)
    assert (said.report.status, said.report.message) == (Status.FAILED, "Too much.")


# --- status calls ---------------------------------------------------------------------------------


async def test_an_answer_about_another_job_says_nothing() -> None:
    body = {"id": "up-2", "state": "done", "result": {}}
    async with (
        path_server({"GET /api/jobs/up-1": (200, body)}) as server,
        closing(made("plain", server)) as one,
    ):
        said = await one.status(UP_1)
    assert isinstance(said, StatusUnavailable)
    assert said.only_this_job


async def test_an_unknown_word_is_shown_and_is_no_status() -> None:
    async with (
        path_server({"GET /api/jobs/up-1": (200, {"state": "Dreaming"})}) as server,
        closing(made("plain", server)) as one,
    ):
        said = await one.status(UP_1)
    assert isinstance(said, StatusReport)
    assert (said.report.status, said.report.provider_status) == (None, "Dreaming")
    assert said.outcome == "unknown_word"


RESULT = {"GET /api/query": (200, {"state": "done", "file_id": 7})}


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ((200, {"file": {"url": "x"}}), {"url": "x"}),
        ((200, {"file": "x"}), {"output": "x"}),
        ((200, {}), None),
        ((404, {}), StatusUnavailable),
        ((401, {}), StatusUnavailable),
        ((500, {}), StatusUnavailable),
    ],
)
async def test_the_result_of_a_second_request(answer: tuple[int, Any], result: Any) -> None:
    async with (
        path_server(RESULT | {"GET /api/files/7": answer}) as server,
        closing(made("second", server)) as one,
    ):
        said = await one.status(UP_1)
    if result is StatusUnavailable:
        assert isinstance(said, StatusUnavailable)
    else:
        assert isinstance(said, StatusReport)
        assert (said.report.status, said.report.result) == (Status.COMPLETED, result)
    assert server.asked("GET /api/files") == ["GET /api/files/7"]


async def test_without_the_value_there_is_no_second_request() -> None:
    async with (
        path_server({"GET /api/query": (200, {"state": "done"})}) as server,
        closing(made("second", server)) as one,
    ):
        said = await one.status(UP_1)
    assert isinstance(said, StatusReport)
    assert said.report.lacks_result
    assert len(server.calls) == 1


# --- addresses ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hosts", "url", "usable"),
    [
        ((), "{origin}/x?y=1", True),
        ((), "https://api.one.example/x", False),
        (("https://*.one.example",), "https://api.one.example/x?y=1", True),
        (("https://*.one.example",), "https://a.b.one.example/x", True),
        (("https://*.one.example",), "https://one.example/x", False),
        (("https://*.one.example",), "https://evilone.example/x", False),
        (("https://*.one.example",), "http://api.one.example/x", False),
        (("https://*.one.example",), "https://api.one.example:444/x", False),
        (("https://*.one.example",), "https://api.one.example:443/x", True),
        (("https://*.one.example",), "https://API.One.Example/x", True),
        (("https://*.one.example",), "https://user@api.one.example/x", False),
        (("https://*.one.example",), "https://api.one.example\\@evil.example/x", False),
        (("https://*.one.example",), "https://evil.example/api.one.example/x", False),
        (("https://*.one.example",), "https://evil.example#.one.example/x", False),
        (("https://*.one.example",), "https://api.one.example/x y", False),
        (("https://api.one.example:8443",), "https://api.one.example:8443/x", True),
        (("https://api.one.example",), "//api.one.example/x", False),
        (("https://api.one.example",), None, False),
        (("https://api.one.example",), "https://" + "a" * 3_000, False),
        (("https://api.one.example",), "https://[::1/x", False),
    ],
)
async def test_the_key_goes_to_the_base_address_and_the_hosts(
    hosts: tuple[str, ...], url: str | None, usable: bool
) -> None:
    origin = "http://127.0.0.1:1"
    account = Account("one", f"{origin}/", KEY, SystemClock())
    async with closing(Api(account, {}, lambda _: None, hosts=hosts)) as api:
        found = api.usable_address(url and url.replace("{origin}", origin))
        assert (found is not None) == usable


async def test_an_address_in_an_answer_is_used_only_there() -> None:
    async with path_server() as server, closing(made("nested", server, "whsec_c2VjcmV0")) as one:
        own, other = f"{server.origin}/regional/up-1", "https://evil.example/up-1"
        for url in (own, other):
            server.answers["POST /api/v2/draw/heron/run"] = (
                200,
                {"data": {"task_id": "up-1", "status_url": url, "cancel_url": url}},
            )
            said = await submitted(one, "draw/heron")
            expected = {"status": own, "cancel": own} if url == own else None
            assert said == SubmitAccepted("up-1", expected)
        for urls in ({"status": own, "cancel": own}, {"status": other, "cancel": other}, {}):
            job = UpstreamJob("up-1", "draw/heron", urls)
            assert isinstance(await one.status(job), StatusMissing)
            await one.cancel(job)
    ways = ["POST /regional/up-1", "POST /regional/up-1"]
    built = ["POST /api/v2/draw/heron/status/up-1", "POST /api/v2/draw/heron/cancel/up-1"]
    assert server.asked()[2:] == [*ways, *built, *built]


async def test_an_id_is_encoded_and_leads_out_of_no_path() -> None:
    async with path_server() as server, closing(made("plain", server)) as one:
        await one.status(UpstreamJob("a/../b?c", "draw", {}))
        server.answers["POST /api/jobs"] = (200, {"id": ".."})
        assert isinstance(await submitted(one, "draw"), SubmitAmbiguous)


async def test_a_job_under_way_is_not_cancelled_where_only_queued_ones_are() -> None:
    async with path_server() as server, closing(made("nested", server)) as one:
        said = await one.cancel(UpstreamJob("up-1", "draw/heron", {}, is_under_way=True))
    assert said.outcome == "refused"
    assert server.calls == []


# --- callbacks ------------------------------------------------------------------------------------


async def test_challenges() -> None:
    async with path_server() as server, closing(made("second", server)) as one:
        assert one.challenge({"challenge": "abc", "x": 1}) == {"challenge": "abc"}
        for body in ({}, {"challenge": None}, {"challenge": ["abc"]}, {"challenge": " "}):
            assert one.challenge(body) is None
        assert one.verifier([]) is None, "no secret is set"
    async with path_server() as server, closing(made("plain", server)) as one:
        assert one.challenge({"challenge": "abc"}) is None


def test_a_bad_secret_is_a_fault() -> None:
    account = Account("nested", "https://one.example", KEY, SystemClock())
    with pytest.raises(ValueError, match="base64"):
        Described(SHAPES["nested"], account, Access(("whsec_!",)))


async def test_where_keys_are_asked_and_none_comes_callbacks_are_claims() -> None:
    async with path_server() as server, closing(made("nested", server)) as one:
        one.start()
        verify = one.verifier(as_headers(sign_replicate(b"{}", 1_767_323_045)))
        assert verify is not None
        assert await verify(b"{}") is False
    assert server.asked()[0] == "GET /api/webhooks/secret"


def test_what_the_engine_asks_of_it() -> None:
    table = "[poll]\nevery = 1.5\nretention = 60"
    account = Account("one", "https://one.example", KEY, SystemClock())
    one = Described(described(table, status=STATUS, read=READ, words=WORDS), account)
    assert (one.poll_every, one.retention) == (1_500, 60_000)
    assert (one.can_ask, one.can_cancel) == (True, False)
    only = Described(SHAPES["only"], account)
    assert (only.can_ask, only.retention) == (False, None)
    assert Described(SHAPES["bare"], account).reply == "ok"
