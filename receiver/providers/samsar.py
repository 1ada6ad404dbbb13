"""Samsar's video API (contract of February 2025), over HTTP.

The one thing that must not go wrong here is the word on a submission that failed: "surely not sent"
is tried again, and wrongly said it makes a user pay twice. So it rests on a fact, not on the class
of an exception: whether the HTTP client began to write the request (`_Wire`).
"""

import asyncio
import json
import ssl
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import httpcore
import httpx

from receiver import tracing
from receiver.clock import Clock
from receiver.domain.observations import (
    Report,
    StatusAnswer,
    StatusMissing,
    StatusReport,
    StatusUnavailable,
    SubmitAccepted,
    SubmitAmbiguous,
    SubmitAnswer,
    SubmitNotSent,
    SubmitRefused,
)
from receiver.domain.retry_after import read_retry_after
from receiver.json_text import UnreadableJson, decode, parse
from receiver.providers.contract import InputFault
from receiver.providers.samsar_input import InputRules, upstream_input
from receiver.providers.samsar_report import (
    read_message,
    read_plain_text,
    read_report,
    read_request_id,
)
from store.records import Millis

MAX_ANSWER_BYTES = 1024 * 1024
_MIN_SECRET = 8
"""Characters of a secret that is looked for in answers; a shorter one would be found by chance."""


@dataclass(frozen=True, slots=True)
class Paths:
    """Where the calls live, relative to the base URL: they have moved before."""

    create_movie: str = "create_movie"
    create_narrative: str = "create_narrative"
    status: str = "status"


class Samsar:
    """The provider `samsar`; under another name, anything that speaks its API."""

    def __init__(
        self,
        *,
        clock: Clock,
        base_url: str,
        api_key: str,
        image_models: Collection[str],
        video_models: Collection[str],
        name: str = "samsar",
        auth_header: str = "API-KEY",
        paths: Paths = Paths(),
        submit_timeout: float = 60.0,
        connect_timeout: float = 10.0,
        status_timeout: float = 15.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Take the operator's values; nothing is connected yet.

        Args:
            clock: what a `Retry-After` date is measured against.
            api_key: sent in `auth_header`; as `Bearer KEY` where that is `Authorization`.
            submit_timeout: seconds for one submission, from connecting to the last byte.
            connect_timeout: seconds of it for the connect, TLS included.
            status_timeout: seconds for one status call, likewise.
            tls: whom to trust; by default the authorities that httpx ships.

        Raises:
            ValueError: no header can carry `api_key`.
        """
        if not (api_key.isascii() and api_key.isprintable()):
            # Refused here, since the client's own error would print the key, once for each call.
            raise ValueError("the provider's key holds characters that no HTTP header can carry")
        self.name = name
        self._api_key = api_key
        self._clock = clock
        self._rules = InputRules(frozenset(image_models), frozenset(video_models))
        self._paths = paths
        self._submit_timeout = submit_timeout
        self._status_timeout = status_timeout

        bearer = auth_header.lower() == "authorization"
        headers = {
            auth_header: f"Bearer {api_key}" if bearer else api_key,
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "receiver",
        }
        tls = tls or httpx.create_ssl_context(trust_env=False)

        def client(total: float) -> httpx.AsyncClient:
            return httpx.AsyncClient(
                base_url=base_url,
                headers=headers,
                verify=tls,
                trust_env=False,
                follow_redirects=False,
                timeout=httpx.Timeout(total, connect=min(connect_timeout, total)),
                limits=httpx.Limits(max_keepalive_connections=0),
            )

        # One for each call, sharing what is dear to make (trust). A kept connection that the server
        # closes just as it is used again looks like a submission that may have arrived, and
        # httpcore's pool (1.0.9) loses a place for good when a request is cancelled by asyncio
        # itself, as every timeout of ours is: in time it would run dry.
        self._client = client

    def check(self, kind: str, body_input: Mapping[str, Any]) -> list[InputFault]:
        """What the provider would refuse of `input`, the fault that it tells first at the front."""
        return self._rules.faults(kind, body_input)

    def read(self, body: Mapping[str, Any]) -> Report:
        """What a callback's body, or a status answer's, says. Pure, and never raises."""
        return read_report(body)

    def read_id(self, body: Mapping[str, Any]) -> str | None:
        """The id that a callback's body names. Pure, and never raises."""
        return read_request_id(body)

    async def submit(
        self, kind: str, body_input: Mapping[str, Any], callback_url: str
    ) -> SubmitAnswer:
        """Send one submission, once; `body_input` is one that `check` finds no fault with."""
        body = {"input": upstream_input(kind, body_input), "webhookUrl": callback_url}
        path = {
            "create_movie": self._paths.create_movie,
            "create_narrative": self._paths.create_narrative,
        }[kind]
        wire = _Wire()
        try:
            async with self._client(self._submit_timeout) as client:
                request = client.build_request(
                    "POST",
                    path,
                    # Escaped, so that no text can fail to encode.
                    content=json.dumps(body, allow_nan=False, separators=(",", ":")),
                    headers={"Content-Type": "application/json", **_trace()},
                    extensions={"trace": wire},
                )
                token = callback_url.rpartition("/")[2]
                answer = await _call(client, request, self._submit_timeout, self._api_key, token)
        except Exception as error:  # noqa: BLE001 - what has happened decides, whatever says so
            reason = _in_words(error, self._submit_timeout)
            return SubmitAmbiguous(reason) if wire.may_have_sent else SubmitNotSent(reason)
        return self._submit_answer(answer)

    def _submit_answer(self, answer: "_Answer") -> SubmitAnswer:
        retry_after = self._retry_after(answer)
        match answer.status_code:
            case 429:
                return SubmitNotSent(answer.told(), retry_after)
            case 503 if retry_after is not None:
                return SubmitNotSent(answer.told(), retry_after)
            case code if 400 <= code < 500:
                return SubmitRefused(code, answer.told())
            case code if 200 <= code < 300:
                if answer.body is None:
                    return SubmitAmbiguous(f"an answer {code} that {answer.flaw}")
                request_id = read_request_id(answer.body)
                if request_id is None:
                    return SubmitAmbiguous(f"an answer {code} without a request_id")
                return SubmitAccepted(request_id)
            case _:
                return SubmitAmbiguous(answer.told())

    async def status(self, provider_request_id: str) -> StatusAnswer:
        """Ask how a job stands."""
        try:
            async with self._client(self._status_timeout) as client:
                request = client.build_request(
                    "GET",
                    self._paths.status,
                    params={"request_id": provider_request_id},
                    headers=_trace(),
                    extensions={"trace": _Wire()},
                )
                answer = await _call(client, request, self._status_timeout, self._api_key)
        except Exception as error:  # noqa: BLE001 - whatever it is, no answer could be had
            return StatusUnavailable(_in_words(error, self._status_timeout))
        retry_after = self._retry_after(answer)
        match answer.status_code:
            case 200:
                return _status_report(answer, retry_after)
            case 404:
                return StatusMissing(answer.told(), retry_after)
            case code:
                return StatusUnavailable(
                    answer.told(), retry_after, by_credentials=code in (401, 403)
                )

    def _retry_after(self, answer: "_Answer") -> Millis | None:
        return read_retry_after(answer.retry_after, self._clock.now())

    async def close(self) -> None:
        """Nothing is kept open between calls."""


def _trace() -> dict[str, str]:
    """The header by which the provider's own trace could join ours. It holds two random numbers;
    `tracestate`, which says more, is between the user and those who trace for them."""
    return {name: value for name, value in tracing.carried().items() if name == "traceparent"}


class _Wire:
    """Watches one request (httpx's `trace` extension): may a byte of it have left?

    The event comes before the first write. From then on nobody but the server knows what arrived.
    Its name is httpcore's documented one; the tests of submission faults fail where it changes.
    """

    def __init__(self) -> None:
        self.may_have_sent = False
        self._socket: httpcore.AsyncNetworkStream | None = None

    async def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        if event.endswith("send_request_headers.started"):
            self.may_have_sent = True
        elif event == "connection.connect_tcp.complete":
            self._socket = info["return_value"]
        elif event == "connection.start_tls.failed" and self._socket is not None:
            # httpcore closes it after an error, but not when the handshake is cancelled, as it is
            # when the time of the whole is up: that socket would stay open for good.
            await self._socket.aclose()


@dataclass(frozen=True, slots=True)
class _Answer:
    """A status line, and what could be read of what follows it."""

    status_code: int
    retry_after: str | None
    body: Mapping[str, Any] | None
    """None where it is no JSON object; `flaw` says why. As it came, since an id can be an integer
    that no clean copy holds: what is read of it is cleaned by `samsar_report`."""
    flaw: str
    plain: str | None
    """What it says to people where it came whole and is no JSON."""

    def told(self) -> str:
        """The provider's own message, or the status where it has none."""
        message = self.plain if self.body is None else read_message(self.body)
        return message or f"The provider answered {self.status_code}."


async def _call(
    client: httpx.AsyncClient, request: httpx.Request, timeout: float, *secrets: str
) -> _Answer:
    """Send `request`, and read the answer within `timeout` seconds in all.

    A status line that has come is an answer, even if its body breaks off. Its texts go to users, so
    `secrets` that it quotes are taken out.

    Raises:
        Exception: no status line came: httpx.HTTPError, TimeoutError, or what slips through them.
    """
    response: httpx.Response | None = None
    raw, flaw = bytearray(), ""
    try:
        async with asyncio.timeout(timeout):
            response = await client.send(request, stream=True)
            async for chunk in response.aiter_bytes():
                raw += chunk
                if len(raw) > MAX_ANSWER_BYTES:
                    flaw = f"is longer than {MAX_ANSWER_BYTES} bytes"
                    break
    except Exception as error:
        # However the body broke off: the status line before it is the answer.
        if response is None:
            raise
        flaw = f"broke off: {_in_words(error, timeout)}"
    finally:
        if response is not None:
            await response.aclose()
    for secret in secrets:
        if len(secret) >= _MIN_SECRET:
            raw = raw.replace(secret.encode(), "…".encode())
    body: Mapping[str, Any] | None = None
    plain: str | None = None
    if not flaw:
        text = decode(raw)
        try:
            decoded = parse(text)
        except UnreadableJson:
            flaw = "is no JSON"
            plain = read_plain_text(text)
        else:
            if isinstance(decoded, dict):
                body = decoded
            else:
                flaw = "is no JSON object"
    return _Answer(response.status_code, response.headers.get("Retry-After"), body, flaw, plain)


def _status_report(answer: _Answer, retry_after: Millis | None) -> StatusAnswer:
    if answer.body is None:
        return StatusUnavailable(f"an answer 200 that {answer.flaw}", retry_after)
    report = read_report(answer.body)
    if report.status is None and report.progress is None and not report.has_link:
        return StatusUnavailable("an answer 200 that says nothing of the job", retry_after)
    return StatusReport(report, retry_after)


def _in_words(error: Exception, timeout: float) -> str:
    match error:
        case httpx.ConnectTimeout():
            return "connecting took too long"
        case httpx.ConnectError():
            return f"could not connect: {error}"
        case TimeoutError() | httpx.TimeoutException():
            return f"no answer within {timeout:g} s"
        case _:
            # The text of others can quote what was sent.
            return f"the connection broke ({type(error).__name__})"
