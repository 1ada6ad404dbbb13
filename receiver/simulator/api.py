"""What the simulators of all providers share: the key, the faults of each call, and a few pages."""

import hmac
import json
import random
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from receiver.domain.prices import PriceList, measured_amount
from receiver.json_text import UnreadableJson, decode, parse
from receiver.simulator.jobs import Jobs, Shape, SimulatedJob
from receiver.upstream.parsing import clean
from receiver.upstream.shapes import Body, JobView, Refused, Submission
from store.records.costs import ZERO, plain
from store.records.jobs import Status

_CLIP: Final = Path(__file__).with_name("clip.webm")
"""Four seconds of moving colours."""


class SimulatorApi(Shape):
    """One provider's API: its calls, in its own shape. Each requires the key, and may meet a
    fault."""

    name: str
    """The provider's, as in price lists."""
    measures: Sequence[str] = ()
    """What it measures of a job, as in price lists."""
    path: str
    """A client's base URL is the simulator's origin followed by this."""
    schemes: Sequence[str] = ()
    """The schemes, in lower case, with which the Authorization header may send the key."""
    no_key: int = 401
    """The status of a call without a key."""
    jobs: Jobs
    base_url: str

    def __init__(self, api_key: str | None = None, prices: PriceList | None = None) -> None:
        """`api_key` is the only accepted key; None accepts any that is not empty. `prices` are
        those of its invoice."""
        self._api_key = api_key
        self._prices = prices

    def app(self, jobs: Jobs, origin: str) -> Starlette:
        """The whole simulator; called once."""
        self.jobs, self.base_url = jobs, origin + self.path
        self._draws = random.Random(jobs.rules.seed)
        pages = [Route("/results/{id}.webm", self.result_file), Route("/sandbox", self._overview)]
        invoice = self.call("GET", "/invoice", self._invoice)
        return Starlette(
            routes=[*pages, invoice, *self.routes()],
            exception_handlers={HTTPException: self._refuse, Refused: self._refuse},
        )

    # --- what differs between the providers -------------------------------------------------------

    @abstractmethod
    def routes(self) -> Sequence[Route]:
        """The routes of its calls."""

    @abstractmethod
    def accepted(self, job: JobView) -> bytes:
        """The answer to a submission, as JSON."""

    @abstractmethod
    def error(self, status_code: int, detail: str) -> Body:
        """The body of an error."""

    # --- for them to use --------------------------------------------------------------------------

    def call(
        self, method: str, path: str, answer: Callable[[Request], Awaitable[Response]]
    ) -> Route:
        """The route of a call that requires the key. `answer` may raise HTTPException, Refused."""

        async def authenticated(request: Request) -> Response:
            self._authenticate(request)
            return await answer(request)

        return Route(path, authenticated, methods=[method])

    def submission(
        self,
        path: str,
        read: Callable[[Request, Body], Submission],
        status_code: int = 200,
        method: str = "POST",
    ) -> Route:
        """The route of a call that creates a job: `read` gets the request and its body."""

        async def answer(request: Request) -> Response:
            self._meet_fault()
            job = self.jobs.make(read(request, await self.read_body(request)))
            match job.plan.answer:
                case "accepted":
                    return json_answer(self.accepted(self.jobs.view(job)), status_code)
                case "error":
                    raise HTTPException(500, "Internal server error")
                case "never":
                    # Until the client gives up, or the server closes the connection at shutdown.
                    while (await request.receive())["type"] != "http.disconnect":
                        continue
                    return Response()

        return self.call(method, path, answer)

    def measured(self, job: JobView) -> dict[str, float]:
        """What the provider measures of a job that has completed: here, how long it took."""
        completed = job.status is Status.COMPLETED
        return dict.fromkeys(self.measures if completed else (), self.jobs.rules.render_seconds)

    def asked(self, job_id: str) -> JobView:
        """The job that a status call asks for. Raises HTTPException 404, or for a fault."""
        view = self.jobs.view(self.find(job_id))
        self._meet_fault()
        return view

    def find(self, job_id: str) -> SimulatedJob:
        """Raises HTTPException 404."""
        if (job := self.jobs.find(job_id)) is None:
            raise HTTPException(404, "Request not found.")
        return job

    def key_of(self, request: Request) -> str | None:
        """The key that a call sends, empty if it lacks; None if it needs none."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        bearer = token.strip() if scheme.lower() in self.schemes else ""
        return request.headers.get("API-KEY") or bearer

    async def read_body(self, request: Request) -> Body:
        """The body of a submission. Raises HTTPException 400."""
        return await _object(request)

    # ----------------------------------------------------------------------------------------------

    def _authenticate(self, request: Request) -> None:
        key = self.key_of(request)
        if key is None:
            return
        if not key:
            raise HTTPException(self.no_key, "The key is missing.")
        if not hmac.compare_digest(key.encode(), (self._api_key or key).encode()):
            raise HTTPException(401, "The key is invalid.")

    def _meet_fault(self) -> None:
        if self._draws.random() < self.jobs.rules.busy:
            code = self._draws.choice((429, 503))
            raise HTTPException(code, "Too busy", {"Retry-After": "1"})

    async def _refuse(self, _request: Request, refusal: Exception) -> Response:
        assert isinstance(refusal, HTTPException | Refused)
        body = self.error(refusal.status_code, refusal.detail)
        headers = refusal.headers if isinstance(refusal, HTTPException) else None
        return JSONResponse(body, refusal.status_code, headers)

    async def result_file(self, request: Request) -> Response:
        """The file of a job that has completed."""
        job = self.find(request.path_params["id"])
        if self.jobs.view(job).status is not Status.COMPLETED:
            raise HTTPException(404, "There is no result.")
        return FileResponse(_CLIP, media_type="video/webm")

    async def _invoice(self, _request: Request) -> Response:
        """What is billed: a line for each job of this process, whatever its end."""
        lines = [
            {"request_id": job.id, "amount": plain(self._amount(job))} for job in self.jobs.all()
        ]
        return JSONResponse(lines)

    def _amount(self, job: JobView) -> Decimal:
        price = self._prices.find(self.name, job.kind) if self._prices else None
        if price is None:
            return ZERO
        measured = {name: Decimal(repr(each)) for name, each in self.measured(job).items()}
        amount = measured_amount(price.measured, measured)
        return price.amount(parse(job.input)) if amount is None else amount

    async def _overview(self, _request: Request) -> Response:
        """For people and tests: every job of this process, and how its callbacks fared."""
        jobs = [
            {
                "request_id": job.id,
                "kind": job.kind,
                "status": job.status,
                "input": json.loads(job.input),
            }
            for job in self.jobs.all()
        ]
        return JSONResponse({"jobs": jobs, "callbacks": self.jobs.callbacks})


def json_answer(content: bytes, status_code: int = 200) -> Response:
    return Response(content, status_code, media_type="application/json")


async def _object(request: Request) -> Body:
    """The JSON object in a request's body. Raises HTTPException 400."""
    try:
        body = clean(parse(decode(await request.body())))
    except (UnreadableJson, ClientDisconnect):
        raise HTTPException(400, "Body is not valid JSON") from None
    if not isinstance(body, dict):
        raise HTTPException(400, "Body is not a JSON object")
    return body
