"""Sessions: a cookie instead of a key, valid only for our own page."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from receiver.domain.schedule import HOUR
from receiver.domain.serialization import timestamp
from receiver.engine.janitor import Janitor
from receiver.http_api.sessions import COOKIE, HEADER, SESSION_SECONDS
from tests.http_api.accepted_job import create_accepted_job
from tests.http_api.conftest import Start
from tests.http_api.scripted_provider import ScriptedProvider
from tests.support.service import JOB, RunningService, eventually, running_service

OWN = {HEADER: "dashboard"}


async def sign_in(service: RunningService, key: str) -> httpx.AsyncClient:
    """A browser that is signed in: it has the cookie, and no key."""
    browser = service.client()
    answer = await browser.post("/session", json={"key": key}, headers=OWN)
    assert answer.status_code == 200, answer.text
    return browser


def with_cookie(service: RunningService, value: str) -> httpx.AsyncClient:
    return service.client(Cookie=f"{COOKIE}={value}")


async def test_a_session_stands_for_its_key(shared_service: RunningService) -> None:
    browser = await sign_in(shared_service, await shared_service.key("signed-in"))
    admin = await sign_in(shared_service, await shared_service.key("root", admin=True))
    for who, user in ((shared_service.client(), None), (browser, "signed-in"), (admin, "root")):
        shown = {"user": user, "admin": who is admin, "retention_days": 30}
        assert (await who.get("/session")).json() == shown
    assert (await admin.get("/v1/jobs?user=root")).status_code == 200
    made = await browser.post("/v1/jobs", json=JOB, headers=OWN)
    assert made.status_code == 202
    assert made.json()["user"] == "signed-in"
    listed = (await browser.get("/v1/jobs")).json()["jobs"]
    assert [job["request_id"] for job in listed] == [made.json()["request_id"]]
    async with browser.stream("GET", "/v1/events") as stream:
        assert stream.status_code == 200
        assert stream.headers["Content-Type"].startswith("text/event-stream")


async def test_the_signing_secret_is_shown_and_replaced_for_the_key_alone(
    shared_service: RunningService,
) -> None:
    key, other = await shared_service.key("secretive"), await shared_service.key("another")
    browser = await sign_in(shared_service, key)

    async def ask(**body: Any) -> httpx.Response:
        return await browser.post("/session/secret", json=body, headers=OWN)

    for refused in ({}, {"key": "rk_no"}, {"key": other}, {"key": key, "rotate": 1}):
        assert (await ask(**refused)).status_code == 400
    shown = (await ask(key=key)).json()
    user = await shared_service.store.keys.user_named("secretive")
    assert user is not None
    assert shown == {"secret": user.secret, "previous_secret_until": None}
    renewed = (await ask(key=key, rotate=True)).json()
    assert renewed["secret"] != user.secret
    assert renewed["previous_secret_until"] is not None
    assert (await ask(key=key)).json() == renewed


async def test_the_hour_of_a_key_s_use_is_listed(shared_service: RunningService) -> None:
    browser = await sign_in(shared_service, await shared_service.key("root", admin=True))
    made = await browser.post("/session/keys", json={"user": "used", "name": "CI"}, headers=OWN)
    assert (await shared_service.client(made.json()["key"]).get("/v1/jobs")).status_code == 200
    services = shared_service.inner.context.services
    await Janitor(services, 10**12).run_once()
    listed = (await browser.get("/session/keys")).json()["keys"]
    (row,) = [key for key in listed if key["user"] == "used"]
    hour = services.clock.now() // HOUR * HOUR
    assert (row["name"], row["last_used_at"]) == ("CI", timestamp(hour))
    assert not services.keys_used


async def test_the_cookie_is_out_of_reach(shared_service: RunningService) -> None:
    key = await shared_service.key()
    answer = await shared_service.client().post("/session", json={"key": key}, headers=OWN)
    cookie = answer.headers["Set-Cookie"].lower()
    for part in ("httponly", "samesite=strict", "path=/", f"max-age={SESSION_SECONDS}"):
        assert part in cookie
    assert "secure" not in cookie  # this service is reached over plain HTTP
    assert key.lower() not in cookie
    assert answer.headers["Cache-Control"] == "no-store"


async def test_behind_https_the_cookie_stays_there(start: Start) -> None:
    service = await start(public_url="https://jobs.example")
    answer = await service.client().post("/session", json={"key": await service.key()}, headers=OWN)
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith(f"__Host-{COOKIE}=")  # no neighbouring host can set it
    assert "; secure" in cookie.lower()
    pair = cookie.partition(";")[0]
    assert (await service.client(Cookie=pair).get("/v1/jobs")).status_code == 200
    plain = pair.removeprefix("__Host-")
    assert (await service.client(Cookie=plain).get("/v1/jobs")).status_code == 400


async def test_a_bad_key_and_none_open_no_session(shared_service: RunningService) -> None:
    bodies: list[dict[str, Any]] = [{"key": key} for key in ("rk_" + "x" * 43, "é", "0" * 2000)]
    for body in bodies:
        answer = await shared_service.client().post("/session", json=body, headers=OWN)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
        assert "Set-Cookie" not in answer.headers
    bodies = [{}, {"key": ""}, {"key": " "}, {"key": 1}, {"key": None}]
    for body in bodies:
        answer = await shared_service.client().post("/session", json=body, headers=OWN)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, "/key")
    answer = await shared_service.client().post("/session", json={"key": "0" * 4_096}, headers=OWN)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


async def test_signing_out(shared_service: RunningService) -> None:
    browser = await sign_in(shared_service, await shared_service.key())
    answer = await browser.request("DELETE", "/session", headers=OWN)
    assert answer.status_code == 200
    assert COOKIE not in browser.cookies
    assert (await browser.get("/v1/jobs")).json()["code"] == "api_key_missing"


# --- requests that another page makes the browser send --------------------------------------------


async def test_a_change_needs_the_header_of_our_page(shared_service: RunningService) -> None:
    key = await shared_service.key()
    browser = await sign_in(shared_service, key)
    for method, path in (
        *(("POST", "/v1/jobs"), ("POST", "/v1/jobs/job_x/cancel"), ("POST", "/v1/stream-tickets")),
        *(("POST", "/v1/deliveries/msg_x/retry"), ("POST", "/session"), ("DELETE", "/session")),
    ):
        answer = await browser.request(method, path, json=JOB | {"key": key})
        assert (answer.status_code, answer.json()["code"]) == (403, "foreign_request"), path
        assert "Set-Cookie" not in answer.headers
    assert (await browser.get("/v1/jobs")).json()["jobs"] == []


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_what_a_browser_calls_foreign_is_refused(
    shared_service: RunningService, site: str
) -> None:
    """Even if it is `same-site`: SameSite lets a page of a neighbouring host send the cookie."""
    browser = await sign_in(shared_service, await shared_service.key())
    foreign = OWN | {"Sec-Fetch-Site": site}
    assert (await browser.get("/v1/jobs", headers=foreign)).status_code == 403
    assert (await browser.post("/v1/jobs", json=JOB, headers=foreign)).status_code == 403
    for own in ("same-origin", "none"):
        headers = OWN | {"Sec-Fetch-Site": own}
        assert (await browser.get("/v1/jobs", headers=headers)).status_code == 200


async def test_a_key_needs_no_header_and_outranks_a_session(shared_service: RunningService) -> None:
    browser = await sign_in(shared_service, await shared_service.key("ada"))
    headers = {"API-KEY": await shared_service.key("bob"), "Sec-Fetch-Site": "cross-site"}
    made = await browser.post("/v1/jobs", json=JOB, headers=headers)
    assert made.json()["user"] == "bob"


# --- the end of a session -------------------------------------------------------------------------


async def test_a_session_ends_with_its_key(shared_service: RunningService) -> None:
    key = await shared_service.key()
    browser = await sign_in(shared_service, key)
    await shared_service.store.keys.revoke(key[:11], 1)

    await eventually(lambda: browser.get("/v1/jobs"), lambda answer: answer.status_code == 401)
    assert (await browser.get("/session")).json()["user"] is None


async def test_a_session_ends_in_time(service: RunningService) -> None:
    browser = await sign_in(service, await service.key())
    cookie = browser.cookies[COOKIE]
    service.clock.ahead_ms = SESSION_SECONDS * 1_000 - 5_000
    assert (await with_cookie(service, cookie).get("/v1/jobs")).status_code == 200
    service.clock.ahead_ms = SESSION_SECONDS * 1_000
    assert (await with_cookie(service, cookie).get("/v1/jobs")).status_code == 400


async def test_no_altered_cookie_is_a_session(shared_service: RunningService) -> None:
    cookie = (await sign_in(shared_service, await shared_service.key())).cookies[COOKIE]
    ticket = (await (await shared_service.user()).post("/v1/stream-tickets")).json()["ticket"]
    for other in (ticket, cookie[:-1] + ("A" if cookie[-1] != "A" else "B"), "x" * 5000):
        answer = await with_cookie(shared_service, other).get("/v1/jobs")
        assert answer.status_code == 400, other


async def test_a_session_is_found_among_other_cookies(shared_service: RunningService) -> None:
    cookie = (await sign_in(shared_service, await shared_service.key())).cookies[COOKIE]
    for cookies, expected in (
        (f'a="b\\"c"; {COOKIE}={cookie}; d', 200),
        (f";;\t{COOKIE}={cookie}", 200),
        (f"x{COOKIE}={cookie}", 400),
        (f"a={COOKIE}={cookie}", 400),
    ):
        answer = await shared_service.client(Cookie=cookies).get("/v1/jobs")
        assert answer.status_code == expected, cookies


async def test_what_is_signed_outlives_a_rotation_until_its_key_is_dropped(
    tmp_path: Path, provider: ScriptedProvider
) -> None:
    """This includes sessions and callback URLs."""
    old, new = "o" * 32, "n" * 32
    async with running_service(tmp_path, **provider.settings(), secret_keys=old) as service:
        cookie = (await sign_in(service, await service.key())).cookies[COOKIE]
        path = httpx.URL((await create_accepted_job(service, provider)).callback_url).path
    for keys, session, callback in ((f"{new},{old}", 200, 200), (new, 400, 401)):
        async with running_service(tmp_path, **provider.settings(), secret_keys=keys) as service:
            answer = await with_cookie(service, cookie).get("/v1/jobs")
            assert answer.status_code == session
            answer = await service.client().post(path, json={"status": "IN_PROGRESS"})
            assert answer.status_code == callback
