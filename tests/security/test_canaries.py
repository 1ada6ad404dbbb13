"""No secret is written anywhere except where it is handed out.

A real `receiver serve` runs once with each log format. Its provider repeats in its refusals what it
was sent, its webhook addresses fail, and everything that can go wrong is made to go wrong. Then
everything that was written is searched for every secret that was used: as it is, URL-quoted, and in
base64.
"""

import base64
import tempfile
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from starlette.responses import JSONResponse, Response

from tests.crash.processes import Service
from tests.http_api.scripted_provider import ScriptedProvider, Submission, scripted_provider
from tests.providers.faulty_server import faulty_server, reset_after_request, send_raw
from tests.support.service import JOB

SIGNING = "canary-signing-secret-of-at-least-32-characters"
OPERATOR = "canary-operator-key-5f2c"
PASSWORD = "canary-database-password"
GUESSED = "rk_canary" + "G" * 37
"""An invalid key, which is still a secret: it may be a valid one with a typing error."""

REFUSING = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.long
@pytest.mark.timeout(120)
@pytest.mark.parametrize("log_format", ["json", "console"])
async def test_no_canary_is_found(log_format: str) -> None:
    secrets, places = await _run(log_format)
    found: Counter[tuple[str, str]] = Counter()
    for place, text in places.items():
        assert text, f"nothing was written to {place}"
        for kind, values in secrets.items():
            assert values, f"no {kind} was used"
            found[kind, place] += sum(text.count(form) for v in values for form in _forms(v))
    assert +found == Counter()


def test_a_canary_is_found_in_every_form() -> None:
    forms = _forms("canary-of-some-length")
    for text in (
        "canary-of-some-length",
        "Y2FuYXJ5LW9mLXNvbWUtbGVuZ3Ro",
        "AGNhbmFyeS1vZi1zb21lLWxlbmd0aA==",
    ):
        assert any(form in text for form in forms)


def _forms(secret: str) -> set[str]:
    """The secret as it is, quoted, and in base64 (the part that is the same at every offset)."""
    forms = {secret, quote(secret, safe="")}
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + secret.encode()).decode()
        forms.add(encoded[4 if offset else 0 :].rstrip("=")[:-2])
    return forms


# --- one service ----------------------------------------------------------------------------------


async def _run(log_format: str) -> tuple[dict[str, set[str]], dict[str, str]]:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        provider = await stack.enter_async_context(scripted_provider())
        settings = {
            "PROVIDER": "samsar",
            "SECRET_KEYS": SIGNING,
            "SAMSAR_API_KEY": OPERATOR,
            "SAMSAR_BASE_URL": provider.base_url,
            "RELAY_ALLOW_HTTP": "true",
            "RELAY_ALLOW_NETS": "127.0.0.0/8",
            "RELAY_SCHEDULE": "0,0.1,0.1",
            "POLL_FIRST": "0.1",
            "POLL_MIN": "0.1",
            "LOG_FORMAT": log_format,
            "LOG_LEVEL": "debug",
        }
        service = await stack.enter_async_context(Service(folder, settings, forked=False))
        key = await service.make_key()
        rotated = (await service.run("keys", "rotate-secret", "ada", "--json")).json()
        traffic = _Traffic(provider, key["key"])
        output = await traffic.run(service)
        output["a start that fails"] = await _failing_start(service)
        output["keys list"] = (await service.run("keys", "list")).out
    return {
        "API key": {traffic.key, GUESSED},
        "signing secret of a user": {key["secret"], rotated["secret"]},
        "callback token": traffic.tokens,
        "ticket": traffic.tickets,
        "operator's key": {OPERATOR},
        "signing secret": {SIGNING},
        "database password": {PASSWORD},
    }, output


async def _failing_start(service: Service) -> str:
    """The output of starts whose settings contain secrets and are invalid."""
    said = ""
    for name, value in (
        ("DATABASE_URL", f"postgresql://ada:{PASSWORD}@127.0.0.1:1/db"),
        ("DATABASE_URL", f"postgres://ada:{PASSWORD}@127.0.0.1:1/db"),
        ("SAMSAR_BASE_URL", f"https://ada:{PASSWORD}@example.com/"),
        ("SECRET_KEYS", f"{SIGNING},{PASSWORD}"),
        ("SAMSAR_API_KEY", f"{OPERATOR} {PASSWORD}"),
    ):
        ended = await service.run("serve", **{f"RECEIVER_{name}": value})
        assert ended.status, f"{name}={value} was accepted"
        said += ended.out + ended.err
    return said


class _Traffic:
    """The requests to a service, and everything that it answered."""

    def __init__(self, provider: ScriptedProvider, key: str) -> None:
        self.key = key
        self._good = {"API-KEY": key}
        self.tokens: set[str] = set()
        self.tickets: set[str] = set()
        self._provider = provider
        self._answers: list[str] = []
        self._errors: list[str] = []

    async def run(self, service: Service) -> dict[str, str]:
        async with (
            faulty_server(send_raw(REFUSING)) as failing,
            faulty_server(reset_after_request) as broken,
            httpx.AsyncClient(
                base_url=service.url, trust_env=False, event_hooks={"response": [self._keep]}
            ) as client,
        ):
            await service.start()
            await self._submissions(client, [failing.port, broken.port])
            await self._callbacks(client)
            await self._streams(client)
            await self._guesses(client)
            metrics = (await client.get("/metrics")).text
            history = [
                (await client.get(f"/v1/jobs/{job['request_id']}/history", headers=self._good)).text
                for job in (await client.get("/v1/jobs", headers=self._good)).json()["jobs"]
            ]
            await service.terminate()
        return {
            "stdout and stderr": service.log.read_text(),
            "answers": "\n".join(self._answers),
            "errors": "\n".join(self._errors),
            "metrics": metrics,
            "history": "\n".join(history),
        }

    async def _keep(self, response: httpx.Response) -> None:
        if response.request.url.path == "/v1/stream-tickets" and response.status_code == 200:
            return  # here the ticket is handed out
        if response.headers.get("content-type", "").startswith("text/event-stream"):
            return
        text = f"{response.headers}\n{(await response.aread()).decode()}"
        (self._errors if response.status_code >= 400 else self._answers).append(text)

    async def _submissions(self, client: httpx.AsyncClient, sinks: list[int]) -> None:
        """Some are accepted, some refused in words that repeat what the provider was sent."""

        async def repeating(submission: Submission) -> Response:
            what = submission.body["input"]["prompt"]
            if what == "taken":
                return self._provider.accept()
            said = {"message": f"No: {submission.headers} {submission.body}"}
            return JSONResponse(said, int(what))

        self._provider.submit = repeating
        for what in ("taken", "taken", "400", "402", "403", "500"):
            body = {"input": JOB["input"] | {"prompt": what}}
            await client.post("/v1/video/create_movie", json=body, headers=self._good)
            body |= {"kind": "create_movie", "webhookUrl": f"http://127.0.0.1:{sinks[0]}/"}
            await client.post("/v1/jobs", json=body, headers=self._good)
            sinks.reverse()
        await self._provider.submitted(12)
        for submission in self._provider.submissions:
            self.tokens.add(submission.webhook_url.rpartition("/")[2])

    async def _callbacks(self, client: httpx.AsyncClient) -> None:
        for number, token in enumerate(sorted(self.tokens)):
            path = f"/webhooks/samsar/{token}"
            for body in (b"{}", b"{}", b"nonsense", b"[" * 100, b"x" * 2_000_000):
                await client.post(path, content=body, headers={"X-Request-ID": token})
            end = {"status": "FAILED", "message": "no", "request_id": f"up-{number}"}
            await client.post(path, json=end)
            await client.get(path)
            await client.get(f"/v1/jobs?status={path}", headers=self._good)
            for wrong in (
                *(path + "/", path + "x", "/" + path, f"/webhooks/other/{token}"),
                *(f"/webhooks/{token}", f"/webhooks%2Fsamsar%2F{token}"),
                f"/WEBHOOKS/samsar/{token}",
            ):
                await client.post(wrong, content=b"{}")

    async def _streams(self, client: httpx.AsyncClient) -> None:
        for path in ("/v1/events", "/v1/jobs"):
            ticket = (await client.post("/v1/stream-tickets", headers=self._good)).json()["ticket"]
            self.tickets.add(ticket)
            for wrong in ("", "x"):
                async with client.stream("GET", path, params={"ticket": ticket + wrong}) as stream:
                    assert stream.status_code in (200, 400, 401)
            await client.post(f"{path}?ticket={ticket}")
            await client.get(f"/v1/nothing/ticket={ticket}")

    async def _guesses(self, client: httpx.AsyncClient) -> None:
        for key in (self.key, GUESSED):
            for headers in (
                {"API-KEY": key},
                {"Authorization": f"Bearer {key}"},
                {"Authorization": f"Basic {key}"},
                {"API-KEY": f"{key}x"},
                {"Cookie": f"receiver_session={key}"},
            ):
                await client.get("/v1/jobs?limit=0", headers=headers)
            await client.post("/session", json={"key": key}, headers={"X-Requested-With": "page"})
            await client.get(f"/v1/jobs?api_key={key}")
            await client.get(f"/v1/jobs?limit={key}", headers=self._good)
            await client.get(f"/v1/jobs/{key}", headers=self._good)
            await client.get(f"/{key}")
            await client.request(key[:20], "/v1/jobs", headers=self._good)
