"""Simulated users: they submit, retry, cancel and follow streams. At the moment they read
something, they compare it with the durable truth."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

from tests.http_api.event_stream import Frame
from tests.simulation import money
from tests.simulation.client import Exchange, NoAnswer, Response
from tests.simulation.loop import running_loop
from tests.simulation.truth import FINAL, LoggedEvent

if TYPE_CHECKING:
    from tests.simulation.world import World

TRIES = 12
RETRIED = (409, 429, 503)


@dataclass
class Submission:
    """What a user knows about one of their submissions."""

    label: int
    user: int
    request_ids: list[str] = field(default_factory=list)
    """Every id that an answer gave, in order."""
    canceled: bool = False
    """A cancel was acknowledged."""
    cancel_asked: bool = False


class Users:
    """All simulated users."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.submissions: dict[int, Submission] = {}
        """By label."""
        self.followers: list[Follower] = []

    # --- submissions ------------------------------------------------------------------------------

    async def submit(self, how: Mapping[str, Any]) -> None:
        """Submit a job; with an Idempotency-Key, retry until there is an answer."""
        world = self._world
        submission = Submission(how["label"], how["user"])
        self.submissions[submission.label] = submission
        body: dict[str, Any] = {
            "input": {"prompt": f"job {submission.label}", "fate": how["fate"]},
            "metadata": {"label": str(submission.label)},
        }
        if how["sink"] is not None:
            body["webhookUrl"] = f"https://{how['sink']}/hook"
        if how["events"] is not None:
            body["webhookEvents"] = list(how["events"])
        target = "/v1/video/create_movie"
        headers = {}
        if how["route"] == "jobs":
            target = "/v1/jobs"
            body["kind"] = "create_movie"
            if how.get("batch"):
                body["priority"] = "batch"
            if how["wait"] is not None:
                headers["prefer"] = f"wait={how['wait']}"
        if how["key"]:
            headers["idempotency-key"] = f"key-{submission.label}"
        for attempt in range(TRIES if how["key"] else 1):
            try:
                response = await world.call(
                    submission.user, "POST", target, headers, json.dumps(body).encode(),
                    how["timeout"],
                )  # fmt: skip
            except NoAnswer:
                await world.sleep(min(1.5**attempt, 60.0))
                continue
            self._check_answer(submission, response, how["fate"])
            if response.status not in RETRIED:
                return
            await world.sleep(float(response.headers.get("retry-after", "1")) + attempt)

    def _check_answer(self, submission: Submission, response: Response, fate: int) -> None:
        world, judge = self._world, self._world.judge
        document = json.loads(response.body)
        request_id = document.get("request_id")
        judge.note("answer", submission.label, response.status, (request_id or "")[-6:])
        if response.status in RETRIED:
            return
        if response.status in (200, 202):
            judge.require(request_id in world.truth.jobs, "what is acknowledged is on disk",
                          submission.label, request_id)  # fmt: skip
        elif response.status == 402 and document["code"] == "budget_exceeded":
            money.check_refusal(world, fate, document)
        elif response.status in (400, 402, 502):
            judge.require(request_id in world.truth.jobs, "a refusal is of a job", submission.label,
                          response.body)  # fmt: skip
            row = world.truth.row(request_id, "status, error_code")
            code = "provider_credentials" if response.status == 502 else "provider_refused"
            judge.require(row == ("FAILED", code), "a refusal is the job's end", row)
        else:
            judge.fail("a submission is answered as the contract says", response)
        if request_id is not None:
            submission.request_ids.append(request_id)

    async def cancel(self, how: Mapping[str, Any]) -> None:
        """Cancel a job if the user knows its id by now."""
        world = self._world
        submission = self.submissions.get(how["label"])
        if submission is None or not submission.request_ids:
            return
        job_id = submission.request_ids[-1]
        submission.cancel_asked = True
        try:
            response = await world.call(
                how["user"], "POST", f"/v1/jobs/{job_id}/cancel", {}, b"", 30.0
            )
        except NoAnswer:
            return
        world.judge.note("cancel", submission.label, response.status)
        if response.status == 202:
            submission.canceled = True
            row = world.truth.row(job_id, "status, error_code")
            world.judge.require(row == ("CANCELLED", "canceled_by_user"),
                                "an acknowledged cancel is on disk", job_id, row)  # fmt: skip
        else:
            world.judge.require(response.status in (409, 503), "a cancel is answered", response)

    # --- streams ----------------------------------------------------------------------------------

    def follow(self, how: Mapping[str, Any]) -> None:
        """Start to follow one job, or all jobs of a user."""
        job_id = None
        if how["label"] is not None:
            submission = self.submissions.get(how["label"])
            if submission is None or not submission.request_ids:
                return
            job_id = submission.request_ids[-1]
        follower = Follower(self._world, how, job_id)
        self.followers.append(follower)
        self._world.spawn(follower.run())


class Follower:
    """A client like EventSource. It resumes from its cursor, and checks every frame."""

    def __init__(self, world: "World", how: Mapping[str, Any], job_id: str | None) -> None:
        self._world = world
        self._user = how["user"]
        self._user_id = world.user_ids[how["user"]]
        self._job_id = job_id
        self._until = running_loop().time() + how["lasts"]
        self._lags: tuple[float, float] | None = how["lags"]
        self._random = Random(how["chance"])
        self._unread = b""
        """The bytes after the last complete frame of the connection."""
        self._exchange: Exchange | None = None
        self.cursor: str | None = None
        self.position = 0
        self.over = False
        """It has seen `done`, or was told to stop."""

    async def run(self) -> None:
        """Follow until `over`, or until its time has passed."""
        loop = running_loop()
        if self._lags is not None:
            self._world.spawn(self._lag())
        while not self.over and loop.time() < self._until:
            await self._connect()
            await self._world.sleep(self._random.uniform(2.0, 5.0))
        self.over = True

    async def _connect(self) -> None:
        world = self._world
        headers = {} if self.cursor is None else {"last-event-id": self.cursor}
        target = "/v1/events" if self._job_id is None else f"/v1/jobs/{self._job_id}/events"
        self._unread = b""
        self._asked_at = running_loop().time()
        try:
            exchange = world.stream(self._user, target, headers, self._read_chunk)
        except NoAnswer:
            return
        self._exchange = exchange
        if self._until < 1e8:
            loop = running_loop()
            left = self._until - loop.time()
            loop.call_later(left, exchange.hang_up, context=loop.world_context)
        with suppress(NoAnswer):
            await exchange.ended
        self._exchange = None
        world.judge.note("stream", (self._job_id or "user")[-6:], exchange.status, self.position)
        if exchange.status == 204:
            row = world.truth.row(str(self._job_id), "status")
            world.judge.require(row is not None and row[0] in FINAL and self._has_seen_all(),
                                "204 only where all was seen", self._job_id)  # fmt: skip
            self.over = True

    async def _lag(self) -> None:
        while not self.over and self._lags is not None:
            after, lasts = self._lags
            await self._world.sleep(after * self._random.uniform(0.5, 1.5))
            exchange = self._exchange
            if exchange is not None and self._lags is not None:
                exchange.lag()
                await self._world.sleep(lasts * self._random.uniform(0.1, 1.0))
                exchange.drain()

    def _read_chunk(self, chunk: bytes) -> None:
        *blocks, self._unread = (self._unread + chunk).split(b"\n\n")
        for frame in map(Frame, blocks):
            if frame.id or frame.field(b"data") is not None:
                self._check_frame(frame)

    def _check_frame(self, frame: Frame) -> None:
        require = self._world.judge.require
        require(not self.over, "nothing comes after done", frame)
        match frame.event:
            case "snapshot":
                require(self.cursor is None, "a resumed stream has no snapshot", frame.id)
                self._check_snapshot(frame)
            case "update":
                rest = self._unseen()
                expected = rest[0] if rest else None
                require(
                    expected is not None
                    and (frame.id, frame.field(b"data"))
                    == (expected.id, expected.data.decode()),
                    "a stream is a prefix of the truth",
                    "got", frame.id, "after", self.position,
                    "expected", expected.id if expected else None,
                )  # fmt: skip
                self._move(frame)
            case "done":
                require(frame.id is None, "done has no cursor", frame.id)
                row = self._world.truth.row(str(self._job_id), "status")
                require(row is not None and row[0] in FINAL, "done is said of what is done", row)
                require(self._has_seen_all(), "done comes after everything", self._job_id)
                self.over = True
            case other:
                self._world.judge.fail("a frame of a kind that was due", other)

    def _check_snapshot(self, frame: Frame) -> None:
        document = frame.data
        self._move(frame)
        truth, require = self._world.truth, self._world.judge.require
        log = truth.logs.get(self._user_id, [])
        require(self.position <= len(log), "a snapshot is of what is committed", frame.id)
        if self.position:
            require(log[self.position - 1].id == frame.id, "a snapshot's cursor is of the log")
        at = _state_at(log, self.position)
        if self._job_id is not None:
            require(_same(document, at[self._job_id]), "a snapshot is the job at its cursor",
                    document, at[self._job_id])  # fmt: skip
            return
        open_jobs = {job_id for job_id, document in at.items() if not document["done"]}
        require({job["request_id"] for job in document["jobs"]} == open_jobs,
                "a snapshot has the unfinished jobs of its cursor", frame.id)  # fmt: skip
        for job in document["jobs"]:
            require(_same(job, at[job["request_id"]]), "a snapshot is each job at its cursor")

    def _move(self, frame: Frame) -> None:
        assert frame.id is not None
        self.cursor = frame.id
        self.position = int(frame.id.partition(".")[0])

    def _unseen(self) -> list[LoggedEvent]:
        """The durable events that it has not seen, oldest first."""
        truth = self._world.truth
        if self._job_id is None:
            return truth.logs.get(self._user_id, [])[self.position :]
        return [event for event in truth.jobs[self._job_id].events if event.seq > self.position]

    def _has_seen_all(self) -> bool:
        """Whether it has seen the job's end and everything that was committed before it asked.
        More, such as the job's files, may be committed while the answer is on its way."""
        events = self._world.truth.jobs[str(self._job_id)].events
        seen = [event for event in events if event.seq <= self.position]
        ended = bool(seen) and seen[-1].document["done"]
        return ended and all(event.committed_at >= self._asked_at for event in self._unseen())

    def leave(self) -> None:
        """Stop following."""
        self.over = True
        if self._exchange is not None:
            self._exchange.hang_up()

    def catch_up(self) -> None:
        """Read without lag from now on."""
        self._lags = None
        if self._exchange is not None:
            self._exchange.drain()

    def check_end(self) -> None:
        """A follower that is still connected has seen everything."""
        self._world.judge.require(
            self.over or not self._unseen(),
            "a follower sees everything in the end",
            self._job_id or f"user {self._user}", "position", self.position,
        )  # fmt: skip


def _state_at(log: list[LoggedEvent], position: int) -> dict[str, dict[str, Any]]:
    return {event.document["request_id"]: event.document for event in log[:position]}


def _same(document: Mapping[str, Any], logged: Mapping[str, Any]) -> bool:
    members = ("status", "phase", "progress", "seq", "done", "result", "error", "message")
    return all(document[member] == logged[member] for member in members)
