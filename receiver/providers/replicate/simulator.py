"""The part of Replicate's API that a service in front of it uses, with signed webhooks."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from receiver.domain.prices import PriceList
from receiver.providers.replicate import shape as replicate
from receiver.providers.replicate.settings import ENTRY
from receiver.simulator.api import SimulatorApi, json_answer
from receiver.simulator.faults import UPDATES
from receiver.upstream.shapes import Body, JobView, Submission
from receiver.webhooks.signing import new_secret, sign
from store.records.times import Millis


class ReplicateApi(SimulatorApi):
    name, measures = ENTRY.name, ENTRY.measures
    path = "/v1/"
    schemes = ("bearer", "token")

    def __init__(self, api_key: str | None = None, prices: PriceList | None = None) -> None:
        super().__init__(api_key, prices)
        self._secret = new_secret(os.urandom(24))

    def routes(self) -> Sequence[Route]:
        return [
            self.submission("/v1/predictions", _read, 201),
            self.call("GET", "/v1/predictions", self._list),
            self.call("GET", "/v1/predictions/{id}", self._show),
            self.call("POST", "/v1/predictions/{id}/cancel", self._cancel),
            self.call("GET", "/v1/webhooks/default/secret", self._show_secret),
            self.call("GET", "/v1/models/{owner}/{name}/versions/{id}", self._show_version),
            self.submission("/v1/{kind:path}/predictions", _read, 201),
        ]

    def accepted(self, job: JobView) -> bytes:
        given = replace(job, details={"metrics": self.measured(job)})
        return replicate.prediction(given, self.base_url)

    def output(self, job_input: Mapping[str, Any], link: str) -> Any:
        return [link]

    def webhook(self, job: JobView) -> bytes | None:
        """Of its events, `start` and `completed`."""
        return self.accepted(job) if job.is_final or job.progress == UPDATES[0] else None

    def sign(self, job: JobView, body: bytes, now: Millis) -> Mapping[str, str]:
        event = "completed" if job.is_final else "start"
        return sign([self._secret], f"msg_{job.id}_{event}", now, body)

    def error(self, status_code: int, detail: str) -> Body:
        return replicate.error(status_code, detail)

    async def _list(self, _request: Request) -> Response:
        """All of them, newest first, on one page."""
        results = b",".join(map(self.accepted, reversed(self.jobs.all())))
        return json_answer(b'{"previous":null,"next":null,"results":[%b]}' % results)

    async def _show(self, request: Request) -> Response:
        return json_answer(self.accepted(self.asked(request.path_params["id"])))

    async def _cancel(self, request: Request) -> Response:
        job = self.find(request.path_params["id"])
        self.jobs.cancel(job)
        return json_answer(self.accepted(self.jobs.view(job)))

    async def _show_secret(self, _request: Request) -> Response:
        return JSONResponse({"key": self._secret})

    async def _show_version(self, request: Request) -> Response:
        version = replicate.version(request.path_params["id"], self.jobs.clock.now())
        return JSONResponse(version)


def _read(request: Request, body: Body) -> Submission:
    kind: str | None = request.path_params.get("kind")
    return replicate.read_submission(kind and kind.removeprefix("models/"), body)
