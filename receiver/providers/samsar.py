"""Samsar's video API (as of February 2025)."""

from collections.abc import Collection, Mapping
from typing import Any

from receiver.domain.answers import Report, StatusAnswer, SubmitAnswer
from receiver.providers.api import Account, Api
from receiver.providers.calls import MAX_ANSWER_BYTES
from receiver.providers.contract import InputFault, Provider, UpstreamJob
from receiver.providers.samsar_input import KINDS, InputRules, upstream_input
from receiver.providers.samsar_report import (
    read_message,
    read_report,
    read_request_id,
    read_status,
)
from store.records.jobs import FINAL_STATUSES


class Samsar(Provider):
    """The provider `samsar`, or under another name, any service with the same API."""

    absent_job = UpstreamJob("0" * 24, "create_movie", {})

    def __init__(
        self,
        account: Account,
        *,
        image_models: Collection[str],
        video_models: Collection[str],
        auth_header: str = "API-KEY",
    ) -> None:
        """Does no I/O. The key is sent in `auth_header`, as `Bearer KEY` if that is
        `Authorization`."""
        self.name = account.name
        self.base_url = account.base_url
        self._key = key = account.key
        self._rules = InputRules(frozenset(image_models), frozenset(video_models))
        bearer = auth_header.lower() == "authorization"
        self._api = Api(
            account,
            {auth_header: f"Bearer {key}" if bearer else key},
            read_message,
            good=(200,),
            max_answer_bytes=MAX_ANSWER_BYTES,
        )

    def check_kind(self, kind: str) -> str | None:
        """Valid kinds are `KINDS`."""
        return None if kind in KINDS else f"kind must be one of {', '.join(KINDS)}."

    def check(self, kind: str, body_input: Mapping[str, Any]) -> list[InputFault]:
        """The errors in `input`; the first is the one that the provider would report."""
        return self._rules.faults(kind, body_input)

    def read(self, body: Mapping[str, Any]) -> Report:
        """Read the body of a callback or a status answer. Pure, and never raises."""
        return read_report(body, self._key)

    def read_id(self, body: Mapping[str, Any]) -> str | None:
        """The id in a callback's body. Pure, and never raises."""
        return read_request_id(body)

    def is_final(self, body: Mapping[str, Any]) -> bool:
        """Whether a callback's body reports an outcome. Pure, and never raises."""
        return read_status(body) in FINAL_STATUSES

    async def submit(
        self, kind: str, body_input: Mapping[str, Any], callback_url: str
    ) -> SubmitAnswer:
        """Send a submission once; `body_input` has passed `check`."""
        body = {"input": upstream_input(kind, body_input), "webhookUrl": callback_url}
        return await self._api.submit(kind, body, callback_url, self.read_id)

    async def status(self, job: UpstreamJob) -> StatusAnswer:
        """Read a job's status."""
        return await self._api.status("status", _read_state, {"request_id": job.id})

    async def close(self) -> None:
        """Close the connections that are kept for status calls."""
        await self._api.close()


def _read_state(body: Mapping[str, Any]) -> Report | None:
    report = read_report(body)
    silent = report.status is None and report.progress is None and report.result is None
    return None if silent else report
