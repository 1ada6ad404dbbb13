"""Replicate's predictions API. Its webhooks are signed by the Standard Webhooks rules."""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote

from receiver.config.values import webhook_key
from receiver.domain.answers import Report, StatusAnswer, SubmitAnswer
from receiver.domain.observations import CancelAnswer
from receiver.upstream import parsing
from receiver.upstream.api import SUCCESS, Account, Api, with_input
from receiver.upstream.calls import NoAnswer, Response
from receiver.upstream.contract import Headers, Provider, UpstreamJob, Verify
from receiver.upstream.signatures import ASK_TIMEOUT, VerificationKeys, is_fresh, signed_header
from store.records.jobs import Status

_PART: Final = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_VERSION: Final = re.compile(rf"[0-9A-Fa-f]{{64}}|{_PART}/{_PART}:{_PART}")
_MODEL: Final = re.compile(rf"{_PART}/{_PART}")
_DEPLOYMENT: Final = re.compile(rf"deployments/{_PART}/{_PART}")
_STATUSES: Final = {
    "STARTING": Status.PENDING,
    "PROCESSING": Status.IN_PROGRESS,
    "SUCCEEDED": Status.COMPLETED,
    "FAILED": Status.FAILED,
    "ABORTED": Status.FAILED,
    "CANCELED": Status.CANCELLED,
}


VERSIONS_KEPT: Final = 100
VERSION_BYTES: Final = 256 * 1024
"""Longer descriptions are not kept."""


class Replicate(Provider):
    """The provider `replicate`, or under another name, any service with the same API."""

    absent_job = UpstreamJob("0" * 26, "", {})
    can_cancel = True

    def __init__(self, account: Account, webhook_secrets: Sequence[str] = ()) -> None:
        """Does no I/O. `webhook_secrets` are `whsec_…`; if empty, the secret is fetched from the
        provider."""
        self.name = account.name
        self._account = account
        self._api = Api(account, {"Authorization": f"Bearer {account.key}"}, _read_refusal)
        self._set_keys = [*map(webhook_key, webhook_secrets)]
        self._keys = VerificationKeys(account.clock, self._ask_keys)
        self._versions: dict[str, tuple[float, bytes]] = {}
        """By path: until when they are kept, and the answers."""

    def start(self) -> None:
        self._keys.fetch()

    async def _ask_keys(self) -> Sequence[bytes]:
        """The keys that are set, or that of the account's webhook secret. Raises NoAnswer."""
        return self._set_keys or await self._api.ask(
            "webhooks/default/secret", ASK_TIMEOUT, read_keys
        )

    @staticmethod
    def check_kind(kind: str) -> str | None:
        """Valid kinds are models, versions and deployments."""
        if any(form.fullmatch(kind) for form in (_VERSION, _MODEL, _DEPLOYMENT)):
            return None
        return (
            "kind must be owner/name, owner/name:version, a version of 64 hex digits, or"
            " deployments/owner/name."
        )

    async def submit(
        self, kind: str, input_json: str, callback_url: str, reference: str
    ) -> SubmitAnswer:
        beside: dict[str, Any] = {
            "webhook": callback_url,
            "webhook_events_filter": ["start", "completed"],
        }
        if _VERSION.fullmatch(kind):
            path, beside["version"] = "predictions", kind
        else:
            path = f"{'' if _DEPLOYMENT.fullmatch(kind) else 'models/'}{kind}/predictions"
        return await self._api.submit(path, with_input(input_json, beside), _read_id)

    async def status(self, job: UpstreamJob) -> StatusAnswer:
        return await self._api.status(_path(job), self.read)

    async def cancel(self, job: UpstreamJob) -> CancelAnswer:
        return await self._api.cancel(f"{_path(job)}/cancel")

    async def version(self, model: str, version: str) -> bytes | None:
        """The JSON of a model's version; None if it cannot be had. Kept for an hour."""
        # In a path of the operator's account, `..` would lead to what is not a model.
        if not _VERSION.fullmatch(f"{model}:{version}"):
            return None
        path = f"models/{quote(model)}/versions/{quote(version, safe='')}"
        now = self._account.clock.monotonic()
        kept = self._versions.get(path)
        if kept is not None and now < kept[0]:
            return kept[1]
        try:
            found = await self._api.ask(path, ASK_TIMEOUT, _read_version)
        except NoAnswer:
            return None
        if found is not None and len(found) <= VERSION_BYTES:
            while len(self._versions) >= VERSIONS_KEPT:
                del self._versions[next(iter(self._versions))]
            self._versions[path] = (now + 3_600, found)
        return found

    # --- callbacks --------------------------------------------------------------------------------

    def verifier(self, headers: Headers) -> Verify:
        """Standard Webhooks: an HMAC over id, timestamp and body."""
        message_id = signed_header(headers, b"webhook-id")
        sent_at = signed_header(headers, b"webhook-timestamp")
        given = signed_header(headers, b"webhook-signature").split(b" ")

        def matches(key: bytes, body: bytes) -> bool:
            digest = hmac.digest(key, b"%s.%s.%s" % (message_id, sent_at, body), hashlib.sha256)
            expected = b"v1," + base64.b64encode(digest)
            return any(hmac.compare_digest(expected, each) for each in given)

        return self._keys.verifier(matches, fresh=is_fresh(sent_at, self._account.clock))

    def read(self, body: Mapping[str, Any]) -> Report:
        """Read a prediction, from a webhook or a status answer."""
        status = parsing.read_status(body.get("status"), _STATUSES)
        completed, output = status is Status.COMPLETED, body.get("output")
        gone = completed and output is None and body.get("data_removed") is True
        report = Report(
            status=status,
            provider_status=parsing.first_text(body.get("status")),
            result={"output": output} if completed and not gone else None,
            message=_read_error(body.get("error")),
            provider_request_id=_read_id(body),
            details=_read_details(body),
            measured=_read_measured(body),
            result_is_gone=gone,
        )
        return parsing.clean_report(report, self._account.key)

    async def close(self) -> None:
        await self._keys.close()
        await self._api.close()


def _read_id(body: Mapping[str, Any]) -> str | None:
    return parsing.read_id(body.get("id"))


def _read_measured(body: Mapping[str, Any]) -> dict[str, Decimal]:
    metrics = body.get("metrics")
    measured = metrics.get("predict_time") if isinstance(metrics, dict) else None
    return parsing.read_measured("predict_time", measured, int, float)


def _read_details(body: Mapping[str, Any]) -> dict[str, Any]:
    texts = parsing.read_texts(body, "model", "version", "logs", "started_at", "completed_at")
    metrics = parsing.read_numbers(body.get("metrics"))
    return {**texts, "metrics": metrics} if metrics else dict(texts)


def _read_version(response: Response) -> bytes | None:
    is_good = response.status_code in SUCCESS and response.body is not None
    return json.dumps(parsing.clean(response.body)).encode("ascii") if is_good else None


def read_keys(response: Response) -> list[bytes]:
    """The key of the `whsec_…` secret in an answer; empty if there is none."""
    try:
        return [webhook_key(str((response.body or {}).get("key")))]
    except ValueError:
        return []


def _path(job: UpstreamJob) -> str:
    return f"predictions/{quote(job.id, safe='')}"


def _read_error(error: Any) -> str | None:
    """The model's error: a text, or an object of the model's own, which is shown as JSON."""
    if error and not isinstance(error, str):
        error = json.dumps(parsing.clean(error), ensure_ascii=False)
    return parsing.first_text(error)


def _read_refusal(body: Mapping[str, Any]) -> str | None:
    texts = map(parsing.first_text, (body.get("title"), body.get("detail")))
    return ": ".join(filter(None, texts)) or None
