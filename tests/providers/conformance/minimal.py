"""The smallest possible provider, to begin another with (docs/providers.md)."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from receiver.domain.answers import Report, StatusAnswer, SubmitAnswer
from receiver.upstream import parsing
from receiver.upstream.api import Account, Api
from receiver.upstream.contract import (
    BadSignature,
    Headers,
    InputFault,
    Provider,
    UpstreamJob,
    Verify,
)
from receiver.upstream.signatures import is_fresh, signed_header
from store.records.jobs import Status

STATUSES = {"QUEUED": Status.PENDING, "DONE": Status.COMPLETED, "BROKEN": Status.FAILED}


class Minimal(Provider):
    """One kind of job, a signature of its own, no cancel."""

    absent_job = UpstreamJob("nobody", "draw", {})

    def __init__(self, account: Account) -> None:
        self.name = account.name
        self._account = account
        self._api = Api(account, {"Authorization": f"Bearer {account.key}"}, _read_why)

    def check_kind(self, kind: str) -> str | None:
        return None if kind == "draw" else "kind must be draw."

    def check(self, kind: str, body_input: Mapping[str, Any]) -> list[InputFault]:
        return [] if "what" in body_input else [InputFault("/input/what", "what is missing.")]

    async def submit(
        self, kind: str, input_json: str, callback_url: str, reference: str
    ) -> SubmitAnswer:
        body = json.dumps({**json.loads(input_json), "tell": callback_url}).encode()
        return await self._api.submit("drawings", body, _read_id)

    async def status(self, job: UpstreamJob) -> StatusAnswer:
        return await self._api.status(f"drawing?{urlencode({'id': job.id})}", self.read)

    def verifier(self, headers: Headers) -> Verify:
        sent_at = signed_header(headers, b"x-sent-at")
        given = signed_header(headers, b"x-signature")
        fresh = is_fresh(sent_at, self._account.clock)

        async def verify(body: bytes) -> bool:
            digest = hmac.digest(self._account.key.encode(), sent_at + body, hashlib.sha256)
            if not hmac.compare_digest(digest.hex().encode(), given):
                raise BadSignature("the signature does not fit")
            return fresh

        return verify

    def read(self, body: Mapping[str, Any]) -> Report:
        status = parsing.read_status(body.get("state"), STATUSES)
        report = Report(
            status=status,
            provider_status=parsing.first_text(body.get("state")),
            result={"drawing": body.get("drawing")} if status is Status.COMPLETED else None,
            message=_read_why(body),
            provider_request_id=_read_id(body),
        )
        return parsing.clean_report(report, self._account.key)

    async def close(self) -> None:
        await self._api.close()


def _read_id(body: Mapping[str, Any]) -> str | None:
    return parsing.read_id(body.get("id"))


def _read_why(body: Mapping[str, Any]) -> str | None:
    return parsing.first_text(body.get("why"))
