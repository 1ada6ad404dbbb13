"""Samsar's HTTP API, with unsigned callbacks, one at each step."""

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from receiver.domain.prices import PriceList
from receiver.providers.samsar import shape as samsar
from receiver.providers.samsar.rules import KINDS, InputRules
from receiver.providers.samsar.settings import ENTRY
from receiver.simulator.api import SimulatorApi, json_answer
from receiver.upstream.shapes import Body, JobView, Refused, Submission, encode


class SamsarApi(SimulatorApi):
    name, measures = ENTRY.name, ENTRY.measures
    path = "/v1/video/"
    schemes = ("bearer",)
    no_key = 400

    def __init__(
        self,
        input_rules: InputRules,
        api_key: str | None = None,
        prices: PriceList | None = None,
    ) -> None:
        super().__init__(api_key, prices)
        self._input_rules = input_rules

    def routes(self) -> Sequence[Route]:
        return [
            *(self.submission(self.path + kind, self._read) for kind in KINDS),
            self.call("GET", f"{self.path}status", self._status),
        ]

    def accepted(self, job: JobView) -> bytes:
        return encode(samsar.accepted(job))

    def output(self, job_input: Mapping[str, Any], link: str) -> Any:
        return {"videoUrl": link}

    def webhook(self, job: JobView) -> bytes:
        return samsar.webhook(job)

    def error(self, status_code: int, detail: str) -> Body:
        return samsar.error(detail)

    async def _status(self, request: Request) -> Response:
        if not (job_id := request.query_params.get("request_id")):
            raise HTTPException(400, "taskId query parameter is missing.")
        return json_answer(samsar.status(self.asked(job_id)))

    def _read(self, request: Request, body: Body) -> Submission:
        kind = request.url.path.removeprefix(self.path)
        submission = samsar.read_submission(kind, body)
        for fault in self._input_rules.faults(kind, submission.input):
            raise Refused(400, fault.detail)
        return submission
