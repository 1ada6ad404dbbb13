"""fal's queue API. Its webhooks are signed with Ed25519."""

import asyncio
import binascii
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote, urlencode

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from receiver.domain.answers import (
    Report,
    StatusAnswer,
    StatusReport,
    StatusUnavailable,
    SubmitAnswer,
)
from receiver.domain.observations import CancelPassedOn
from receiver.providers import words
from receiver.providers.addresses import own_target
from receiver.providers.api import GOOD, Account, Api
from receiver.providers.calls import Calls, NoAnswer
from receiver.providers.contract import BadSignature, Headers, Provider, UpstreamJob, Verify
from receiver.providers.fal_report import (
    read_end,
    read_keys,
    read_message,
    read_request_id,
    read_state,
    read_status,
)
from receiver.providers.http_answers import Answer
from receiver.providers.signatures import VerificationKeys, signed_header
from store.records.jobs import FINAL_STATUSES, Status

_ENDPOINT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)+")
_NOT_OF_THE_JOB: Final = frozenset({401, 403, 404, 408, 429})
"""Status codes of a result call that say nothing about how the job ended."""
_KEYS_TIMEOUT: Final = 5.0
_KEYS_LIFETIME: Final = 24 * 3600.0


class Fal(Provider):
    """The provider `fal`, or under another name, any service with the same API."""

    absent_job = UpstreamJob("00000000-0000-0000-0000-000000000000", "fal-ai/flux/dev", {})
    can_cancel = True

    def __init__(self, account: Account, jwks_url: str, user_id: str | None = None) -> None:
        """Does no I/O.

        `user_id`: only callbacks signed for this user are accepted. With None, those of every
        customer are, since the keys at `jwks_url` are the same for all.
        """
        self.name = account.name
        self.base_url = account.base_url
        self._account = account
        self._user_id = None if user_id is None else user_id.encode()
        self._api = Api(account, {"Authorization": f"Key {account.key}"}, read_message)
        folder, _, self._jwks_file = jwks_url.rpartition("/")
        self._jwks = Calls(f"{folder}/", {}, connect_timeout=_KEYS_TIMEOUT, tls=account.tls)
        self._keys = VerificationKeys(account.clock, self._ask_for_keys, lifetime=_KEYS_LIFETIME)

    async def start(self) -> None:
        """Fetch the keys that verify callbacks."""
        await self._keys.start()

    def check_kind(self, kind: str) -> str | None:
        """Valid kinds are endpoints."""
        if _ENDPOINT.fullmatch(kind):
            return None
        return "kind must be an endpoint, such as fal-ai/flux/dev."

    async def submit(
        self, kind: str, body_input: Mapping[str, Any], callback_url: str
    ) -> SubmitAnswer:
        """Queue a request, once."""
        path = f"{kind}?{urlencode({'fal_webhook': callback_url})}"
        once = {"X-Fal-No-Retry": "1"}
        return await self._api.submit(
            path, body_input, callback_url, self.read_id, self._read_urls, once
        )

    def _read_urls(self, body: Mapping[str, Any]) -> Mapping[str, str] | None:
        given = {name: body.get(f"{name}_url") for name in ("status", "response", "cancel")}
        urls = {name: str(url) for name, url in given.items() if own_target(url, self.base_url)}
        return urls or None

    async def status(self, job: UpstreamJob) -> StatusAnswer:
        """Read a request's status, and its result if it has ended: only that shows whether it
        succeeded."""
        now = asyncio.get_running_loop().time
        until = now() + self._account.status_timeout
        said = await self._api.status(self._address(job, "status", "/status"), read_state)
        match said:
            case StatusReport(report=Report(status=Status.COMPLETED) as report):
                try:
                    path = self._address(job, "response", "")
                    answer = await self._api.get(path, timeout=max(until - now(), 0.1))
                    return self._read_response(report, answer)
                except NoAnswer as error:
                    return StatusUnavailable(f"its result: {error}")
            case _:
                return said

    def _read_response(self, report: Report, answer: Answer) -> StatusAnswer:
        """Classify the answer to a result call."""
        code, body = answer.status_code, answer.body or {}
        if code in GOOD and answer.is_json:
            result = words.clean_for_people(answer.value, self._account.key)
            return StatusReport(replace(report, result=_as_result(result)))
        message = self._api.words(answer)
        if _is_failure(code, body, message):
            return StatusReport(replace(report, status=read_end(body), message=message))
        return self._api.unavailable(answer)

    async def cancel(self, job: UpstreamJob) -> CancelPassedOn:
        """Cancel a request. A running one may still complete."""
        return await self._api.cancel(self._address(job, "cancel", "/cancel"), "PUT")

    def _address(self, job: UpstreamJob, name: str, suffix: str) -> str:
        """The URL from the submission's answer, or built the way fal's own clients do."""
        if given := own_target(job.urls.get(name), self.base_url):
            return given
        parts = job.kind.split("/")
        owner_and_alias = "/".join(parts[: 3 if parts[0] in ("workflows", "comfy") else 2])
        return f"{owner_and_alias}/requests/{quote(job.id, safe='')}{suffix}"

    # --- callbacks --------------------------------------------------------------------------------

    def verifier(self, headers: Headers) -> Verify:
        """Ed25519 over request id, user id, timestamp and the body's digest."""
        names = ("request-id", "user-id", "timestamp")
        signed = [signed_header(headers, f"x-fal-webhook-{name}".encode()) for name in names]
        given = signed_header(headers, b"x-fal-webhook-signature")
        _, user_id, sent_at = signed
        if self._user_id not in (None, user_id):
            raise BadSignature("signed for another user")

        def matches(key: Ed25519PublicKey, body: bytes) -> bool:
            message = b"\n".join([*signed, hashlib.sha256(body).hexdigest().encode()])
            try:
                key.verify(binascii.unhexlify(given), message)
            except (InvalidSignature, ValueError):
                return False
            return True

        return self._keys.verifier(sent_at, matches)

    def read(self, body: Mapping[str, Any]) -> Report:
        """Read a webhook. After `OK` without a payload, the result must be fetched."""
        safe = words.clean_for_people(dict(body), self._account.key)
        report = read_state(safe) or Report(provider_request_id=read_request_id(safe))
        payload = safe.get("payload")
        if report.status is Status.COMPLETED and payload is not None:
            return replace(report, result=_as_result(payload))
        return report

    def read_id(self, body: Mapping[str, Any]) -> str | None:
        """The request's id."""
        return read_request_id(body)

    def is_final(self, body: Mapping[str, Any]) -> bool:
        """Whether the request has ended."""
        return read_status(body) in FINAL_STATUSES

    async def close(self) -> None:
        """Close the connections that are kept for status calls."""
        await self._keys.close()
        await self._jwks.close()
        await self._api.close()

    async def _ask_for_keys(self) -> Sequence[Ed25519PublicKey]:
        try:
            answer = await self._jwks.ask(self._jwks_file, {}, _KEYS_TIMEOUT)
        except NoAnswer:
            return ()
        return read_keys(answer.body or {}) if answer.status_code == 200 else ()


def _is_failure(code: int, body: Mapping[str, Any], message: str) -> bool:
    """Whether the answer to a result call says that the job failed. Any other answer says only that
    the result cannot be had now."""
    if code >= 500:
        return "error_type" in body or isinstance(body.get("detail"), list)
    if code == 400 and "in progress" in message.lower():
        return False
    return code >= 400 and code not in _NOT_OF_THE_JOB


def _as_result(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {"output": value}
