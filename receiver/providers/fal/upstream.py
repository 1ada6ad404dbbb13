"""fal's queue API. Its webhooks are signed with Ed25519."""

import asyncio
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
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
from receiver.domain.observations import CancelAnswer
from receiver.providers.fal.shape import NO_OBJECT
from receiver.upstream import parsing
from receiver.upstream.api import SUCCESS, Account, Api
from receiver.upstream.calls import HttpClient, NoAnswer, Response
from receiver.upstream.contract import BadSignature, Headers, Provider, UpstreamJob, Verify
from receiver.upstream.signatures import (
    ASK_TIMEOUT,
    VerificationKeys,
    is_fresh,
    read_jwks,
    signed_header,
)
from store.records.jobs import Status

_ENDPOINT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)+")
_STATUSES: Final = {
    "IN_QUEUE": Status.PENDING,
    "IN_PROGRESS": Status.IN_PROGRESS,
    "COMPLETED": Status.COMPLETED,
    # in webhooks
    "OK": Status.COMPLETED,
    "ERROR": Status.FAILED,
}
_CANCELLED: Final = "client_cancelled"
_UNITS: Final = "x-fal-billable-units"
"""The header of a result that says how much is billed."""
_MEASURED: Final = frozenset({"billable_units"})
_STATUS_CODE: Final = re.compile(r"status code: ([0-9]{3})\b")
_MAX_FAULTS: Final = 20
"""How many validation errors of a failure are kept."""
_NOT_OF_THE_JOB: Final = frozenset({401, 403, 404, 408, 429})
"""Status codes of a result call that say nothing about how the job ended."""


class Fal(Provider):
    """The provider `fal`, or under another name, any service with the same API."""

    absent_job = UpstreamJob("00000000-0000-0000-0000-000000000000", "fal-ai/flux/dev", {})
    can_cancel = True

    def __init__(self, account: Account, jwks_url: str, user_id: str | None = None) -> None:
        """Does no I/O.

        `user_id`: only callbacks signed for this user are accepted. None accepts those of every
        customer, since the keys at `jwks_url` are the same for all.
        """
        self.name = account.name
        self._account = account
        self._user_id = None if user_id is None else user_id.encode()
        headers = {"Authorization": f"Key {account.key}", "X-Fal-No-Retry": "1"}
        self._api = Api(account, headers, _read_message)
        self._jwks = HttpClient(jwks_url, {}, account.tls)
        ask = partial(self._jwks.ask, "", ASK_TIMEOUT, read_jwks)
        self._keys = VerificationKeys(account.clock, ask)

    def start(self) -> None:
        self._keys.fetch()

    @staticmethod
    def check_kind(kind: str) -> str | None:
        """Valid kinds are endpoints."""
        fits = _ENDPOINT.fullmatch(kind)
        return None if fits else "kind must be an endpoint, such as fal-ai/flux/dev."

    async def submit(
        self, kind: str, input_json: str, callback_url: str, reference: str
    ) -> SubmitAnswer:
        path = f"{kind}?{urlencode({'fal_webhook': callback_url})}"
        return await self._api.submit(path, input_json.encode("ascii"), _read_id, self._read_urls)

    def _read_urls(self, body: Mapping[str, Any]) -> Mapping[str, str] | None:
        given = {name: body.get(f"{name}_url") for name in ("status", "response", "cancel")}
        return {
            name: str(url) for name, url in given.items() if self._api.same_origin_path(url)
        } or None

    async def status(self, job: UpstreamJob) -> StatusAnswer:
        """Read a request's status and, if it has ended, its response: only that shows whether it
        succeeded, or why it failed."""
        now = asyncio.get_running_loop().time
        until = now() + self._account.status_timeout
        said = await self._api.status(self._path(job, "status", "/status"), self.read)
        if not isinstance(said, StatusReport):
            return said
        left = until - now()
        if said.report.status is Status.COMPLETED:
            return await self._ask_response(job, said.report, max(left, 0.1))
        if said.report.status is Status.FAILED and left > 0:
            found = await self._ask_response(job, said.report, left)
            shows_reason = isinstance(found, StatusReport) and found.report.result is None
            return found if shows_reason else said
        return said

    async def result(self, job: UpstreamJob) -> StatusAnswer:
        """Read the result alone: right after the webhook, the status may lag behind it."""
        completed = Report(Status.COMPLETED)
        return await self._ask_response(job, completed, self._account.status_timeout)

    async def _ask_response(self, job: UpstreamJob, report: Report, timeout: float) -> StatusAnswer:
        def classify(response: Response) -> StatusAnswer:
            code, body = response.status_code, response.body or {}
            if code in SUCCESS and response.is_json:
                units = response.headers.get(_UNITS)
                measured = parsing.read_measured("billable_units", units, str)
                result = _as_result(response.value)
                completed = replace(
                    report,
                    result=result,
                    measured=measured,
                    details={**report.details, **_read_form(response.value)},
                )
                return StatusReport(parsing.clean_report(completed, self._account.key))
            message = self._api.error_message(response)
            # Of a gateway's page, or half an answer, it cannot be told whose it is: no end of the
            # job.
            is_readable = response.is_json or response.text is not None
            if is_readable and _is_failure(code, body, message):
                failed = replace(
                    report,
                    status=_read_end(body),
                    message=_join(report.message, _read_message(body)) or message,
                    details={**report.details, **_read_details(code, body)},
                )
                return StatusReport(parsing.clean_report(failed, self._account.key))
            unavailable = self._api.unavailable(response)
            if unavailable.credentials_refused:  # by the model: fal passes on its status codes
                return replace(unavailable, credentials_refused=False, only_this_job=True)
            return unavailable

        try:
            return await self._api.ask(self._path(job, "response", ""), timeout, classify)
        except NoAnswer as error:
            return StatusUnavailable(f"its result: {error}")

    async def cancel(self, job: UpstreamJob) -> CancelAnswer:
        """Cancel a request. A running one may still complete."""
        return await self._api.cancel(self._path(job, "cancel", "/cancel"), "PUT")

    def _path(self, job: UpstreamJob, name: str, suffix: str) -> str:
        """The path of the URL in the submission's answer, or built as fal's own clients do."""
        if given := self._api.same_origin_path(job.urls.get(name)):
            return given
        parts = job.kind.split("/")
        owner_and_alias = "/".join(parts[: 3 if parts[0] in ("workflows", "comfy") else 2])
        return f"{owner_and_alias}/requests/{quote(job.id, safe='')}{suffix}"

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

        return self._keys.verifier(matches, fresh=is_fresh(sent_at, self._account.clock))

    def read(self, body: Mapping[str, Any]) -> Report:
        """Read a webhook or a status answer. After `OK` without a payload, and after a status
        answer, the result must be fetched."""
        status, payload = _read_status(body), body.get("payload")
        completed = status is Status.COMPLETED
        metrics = parsing.read_numbers(body.get("metrics"))
        details: dict[str, Any] = {"metrics": metrics} if metrics else {}
        if completed and payload is not None:
            details |= _read_form(payload)
        if status is Status.FAILED:
            model = payload if isinstance(payload, dict) else body
            details |= _read_details(_read_code(body.get("error")), model)
        report = Report(
            status=status,
            provider_status=parsing.first_text(body.get("status")),
            result=_as_result(payload) if completed and payload is not None else None,
            message=_read_failure(body) if status in (Status.FAILED, Status.CANCELLED) else None,
            provider_request_id=_read_id(body),
            details=details,
            measures_apart=_MEASURED,
        )
        return parsing.clean_report(report, self._account.key)

    async def close(self) -> None:
        await self._keys.close()
        await self._jwks.close()
        await self._api.close()


def _read_id(body: Mapping[str, Any]) -> str | None:
    """The request's id. `gateway_request_id` differs from it after a retry inside fal."""
    return parsing.read_id(body.get("request_id"))


def _read_status(body: Mapping[str, Any]) -> Status | None:
    """The status. In status answers, a failure is COMPLETED with an error."""
    word = body.get("status")
    status = parsing.read_status(word, _STATUSES)
    has_error = body.get("error") or body.get("error_type")
    if status is Status.FAILED or (has_error and str(word).strip().upper() == "COMPLETED"):
        return _read_end(body)
    return status


def _read_end(body: Mapping[str, Any]) -> Status:
    """The final status of a request that did not succeed."""
    inner = body.get("payload")
    parts = [body, inner] if isinstance(inner, dict) else [body]
    said = [part.get(name) for part in parts for name in ("error_type", "error", "detail")]
    cancelled = any(isinstance(text, str) and _CANCELLED in text for text in said)
    return Status.CANCELLED if cancelled else Status.FAILED


def _read_failure(body: Mapping[str, Any]) -> str | None:
    """The error of a webhook or status answer, followed by the model's own message."""
    inner = body.get("payload")
    model = _read_message(inner) if isinstance(inner, dict) else None
    return _join(_read_message(body), model)


def _join(*messages: str | None) -> str | None:
    """The different ones of them, in one line; None if there are none."""
    return ": ".join(dict.fromkeys(filter(None, messages))) or None


def _read_details(code: int | None, body: Mapping[str, Any]) -> dict[str, Any]:
    """The status and `detail` of a failure, in fal's own form, unless the latter is too long."""
    detail = body.get("detail")
    if isinstance(detail, list):
        detail = detail[:_MAX_FAULTS]
    fits = len(json.dumps(detail)) <= parsing.MESSAGE_CHARACTERS
    return {"status_code": code, "detail": detail if fits else None}


def _read_code(error: Any) -> int | None:
    """The status code in the `error` of a webhook."""
    found = _STATUS_CODE.search(error) if isinstance(error, str) else None
    return found and int(found[1])


def _read_message(body: Mapping[str, Any]) -> str | None:
    """`detail`, which is a string or a list of validation errors; else the error."""
    detail = body.get("detail")
    if isinstance(detail, list):
        return "; ".join(filter(None, map(_read_fault, detail[:_MAX_FAULTS]))) or None
    return parsing.first_text(
        detail, body.get("error"), body.get("message"), body.get("payload_error")
    )


def _read_fault(fault: Any) -> str | None:
    if not isinstance(fault, dict) or not isinstance(message := fault.get("msg"), str):
        return None
    path = fault.get("loc")
    names = path[:8] if isinstance(path, list) else []
    where = ".".join(str(name) for name in names if isinstance(name, str | int))
    return f"{where}: {message}" if where else message


def _is_failure(code: int, body: Mapping[str, Any], message: str) -> bool:
    """Whether the answer to a result call says that the job failed. Any other answer says only that
    the result is not available now."""
    if code >= 500:
        return "error_type" in body or isinstance(body.get("detail"), list)
    if code == 400 and "in progress" in message.lower():
        return False
    return code >= 400 and code not in _NOT_OF_THE_JOB


def _read_form(value: Any) -> dict[str, Any]:
    """The detail that says that a result is no object."""
    return {} if isinstance(value, dict) else {NO_OBJECT: True}


def _as_result(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {"output": value}
