"""The simulated provider: the truth about every job, and the faults between it and the service.

A job's fate (how long it takes, how it ends, which of its answers and callbacks are lost) comes
from a seed of its own, so removing another job from a schedule does not change it.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, Literal

from receiver.domain.answers import (
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
from receiver.providers.samsar.upstream import read_report
from receiver.upstream.contract import UpstreamJob
from tests.simulation.file_fate import FileFate, file_fates
from tests.simulation.loop import running_loop
from tests.simulation.schedule import FaultWindows
from tests.support.samsar_double import SamsarDouble

if TYPE_CHECKING:
    from tests.simulation.world import World

SUBMIT_TIMEOUT = 60.0
STATUS_TIMEOUT = 15.0

IN_OUTAGE = {"refused": "not_sent", "silent": "lose_request", "key": "refuse_key"}
"""What an outage does to a submission, if that has another name than the outage."""
ARRIVES_AS = {"not_sent": "sure", "busy": "sure", "refuse": "refused", "refuse_key": "refused"}
"""How an arrived submission counts; all others are `taken`."""

Outcome = Literal["COMPLETED", "FAILED", "CANCELLED"]


@dataclass(frozen=True)
class Fate:
    """What the provider will do with one job."""

    submission: str
    """accept, accept_slowly, lose_answer, lose_request, refuse, refuse_key, busy, not_sent."""
    latency: float
    renders: float
    """Seconds from acceptance to the outcome."""
    outcome: Outcome
    link_after: float
    """Seconds from COMPLETED until a status call gives the link; callbacks then have none."""
    missing_for: float
    """Seconds from acceptance for which status calls answer 404."""
    failing_for: float
    """Seconds from acceptance for which status calls answer 500."""
    updates: tuple[tuple[float, Mapping[str, Any]], ...]
    """Each update: the share of the render time, and what is reported then."""
    callbacks: tuple[tuple[bool, int, float, str], ...]
    """Each callback: whether it is lost, how many copies come, how late, and its shape."""
    files: tuple[FileFate, ...]
    """The files of its result; the first is behind the main link."""

    @property
    def is_told_at_once(self) -> bool:
        """Whether status calls report the job from its acceptance on."""
        return not (self.missing_for or self.failing_for)


def fate_of(seed: int) -> Fate:
    """The fate that belongs to a seed."""
    random = Random(seed)
    submission = random.choices(
        ["accept", "accept_slowly", "lose_answer", "lose_request", "refuse", "refuse_key", "busy",
         "not_sent"],
        [60, 6, 9, 4, 4, 2, 6, 9],
    )[0]  # fmt: skip
    renders = random.choice([2.0, 20.0, 60.0, 180.0, 600.0])
    if random.random() < 0.02:
        renders = random.choice([5_000.0, 12 * 3600.0, 40 * 3600.0])
    outcome: Outcome = random.choices(["COMPLETED", "FAILED", "CANCELLED"], [75, 20, 5])[0]  # type: ignore[assignment]  # choices() widens the literal
    statuses = ["PENDING", "IN_PROGRESS", "RENDERING_AUDIO", "PAUSED", "IN_PROGRESS"]
    updates = []
    for share in sorted(random.random() for _ in range(random.choice([0, 1, 3, 5]))):
        fields: dict[str, Any] = {"status": random.choice(statuses)}
        if random.random() < 0.8:
            fields["progress"] = random.choice([round(share * 100), 100, -5, "half", share * 60])
        if random.random() < 0.3:
            fields["message"] = f"at {share:.2f}"
        updates.append((share, fields))
    callbacks = tuple(
        (
            random.random() < 0.3,
            random.choice([1, 1, 1, 2, 3]),
            random.choice([0.01, 0.2, 1.0, 15.0, 120.0, 2_000.0][: random.choice([2, 4, 6])]),
            random.choice(["contract", "flat", "bare"]),
        )
        for _ in range(len(updates) + 1)
    )
    return Fate(
        submission=submission,
        latency=random.choice([0.01, 0.2, 1.5, 8.0]),
        renders=renders,
        outcome=outcome,
        link_after=random.choice([0.0] * 20 + [12.0, 12.0, 300.0, 20 * 3600.0]),
        missing_for=random.choice([0.0] * 20 + [20.0, 20.0, 300.0, 30 * 3600.0]),
        failing_for=random.choice([0.0] * 30 + [60.0, 300.0, 9_000.0]),
        updates=tuple(updates),
        callbacks=callbacks,
        files=file_fates(seed),
    )


@dataclass
class Upstream:
    """One job as the provider knows it, which the service's job has to match in the end."""

    id: str
    job_id: str
    address: str
    fate: Fate
    fate_seed: int
    taken_at: float
    fields: dict[str, Any] = field(default_factory=lambda: {"status": "PENDING"})
    ended_at: float | None = None

    def document(self, now: float) -> dict[str, Any]:
        """What a status call answers."""
        document = {"request_id": self.id, **self.fields}
        if self.ended_at is not None:
            document |= {"status": self.fate.outcome, "message": f"it is {self.fate.outcome}"}
            document.pop("progress", None)
            if self.fate.outcome == "COMPLETED":
                document["progress"] = 100
                if now >= self.ended_at + self.fate.link_after:
                    more = [self._link(number) for number in range(1, len(self.fate.files))]
                    document["result"] = {"videoUrl": self.link} | ({"more": more} if more else {})
        return document

    @property
    def available_at(self) -> float:
        """The earliest time at which a status call that is answered gives the outcome."""
        fate = self.fate
        link_after = fate.link_after if fate.outcome == "COMPLETED" else 0.0
        silent_for = max(fate.missing_for, fate.failing_for, fate.renders + link_after)
        return self.taken_at + silent_for

    @property
    def link(self) -> str:
        return self._link(0)

    def _link(self, number: int) -> str:
        return f"http://cdn.example/{self.id}/{number}"


class SimulatedProvider(SamsarDouble):
    """The provider, and the network to it."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._random = world.random
        self.outages = FaultWindows()
        self.jobs: dict[str, Upstream] = {}
        """By our job's id."""
        self.by_id: dict[str, Upstream] = {}
        self.submissions: dict[str, list[str]] = {}
        """By job: how each attempt counts, as sure (surely not taken), refused or taken. `taken`
        includes requests that were lost on the way: the service cannot tell that they were."""
        self.busy_until = 0.0
        """The time of the last event that is already planned, such as an end or a late callback."""

    # --- what the service calls -------------------------------------------------------------------

    async def submit(
        self, kind: str, input_json: str, callback_url: str, reference: str
    ) -> SubmitAnswer:
        job_id = self._world.callbacks.job_of(callback_url)
        seed = json.loads(input_json)["fate"]
        fate = fate_of(seed)
        before = self.submissions.setdefault(job_id, [])
        how = fate.submission
        outage = self.outages.at(running_loop().time())
        if how in ("busy", "not_sent") and len(before) >= 2:
            how = "accept"
        if outage is not None:
            how = IN_OUTAGE.get(outage, outage)
        await self._world.sleep(0.01)
        before.append(ARRIVES_AS.get(how, "taken"))
        self._world.callbacks.check_submission(job_id)
        match how:
            case "not_sent":
                return SubmitNotSent("connection refused")
            case "busy":
                await self._world.sleep(fate.latency)
                wish = self._random.choice([None, 3_000, 40_000])
                return SubmitNotSent("429", retry_after=wish, status_code=429)
            case "refuse" | "refuse_key":
                await self._world.sleep(fate.latency)
                if how == "refuse_key":
                    return SubmitRefused(401, "invalid key")
                return SubmitRefused(self._random.choice([400, 402]), "Prompt is too long")
            case "lose_request" | "broken":
                await self._world.sleep(SUBMIT_TIMEOUT if how == "lose_request" else fate.latency)
                return SubmitAmbiguous("timeout")
            case _:
                upstream = self._take(job_id, callback_url, fate, seed)
                if how == "lose_answer":
                    await self._world.sleep(self._random.choice([0.5, SUBMIT_TIMEOUT]))
                    return SubmitAmbiguous("connection reset")
                await self._world.sleep(30.0 if how == "accept_slowly" else fate.latency)
                return SubmitAccepted(upstream.id)

    async def status(self, job: UpstreamJob) -> StatusAnswer:
        loop = running_loop()
        upstream = self.by_id.get(job.id)
        await self._world.sleep(self._random.choice([0.02, 0.3, 2.0]))
        outage = self.outages.at(loop.time())
        answer: StatusAnswer
        if outage is not None:
            if outage == "silent":
                await self._world.sleep(STATUS_TIMEOUT)
            retry_after = 20_000 if outage == "busy" else None
            answer = StatusUnavailable(outage, retry_after, credentials_refused=outage == "key")
        elif upstream is None or loop.time() < upstream.taken_at + upstream.fate.missing_for:
            answer = StatusMissing()
        elif loop.time() < upstream.taken_at + upstream.fate.failing_for:
            answer = StatusUnavailable("500")
        else:
            answer = StatusReport(read_report(upstream.document(loop.time())))
        await self._world.sleep(self._random.choice([0.01, 0.5]))
        return answer

    def _later(self, seconds: float, then: Callable[[], object]) -> None:
        loop = running_loop()
        self.busy_until = max(self.busy_until, loop.time() + seconds)
        loop.call_later(seconds, then, context=loop.world_context)

    # --- the provider's own work ------------------------------------------------------------------

    def _take(self, job_id: str, address: str, fate: Fate, seed: int) -> Upstream:
        loop = running_loop()
        name = f"up-{job_id[-8:]}-{len(self.by_id)}"
        upstream = Upstream(name, job_id, address, fate, seed, loop.time())
        self.jobs.setdefault(job_id, upstream)
        self.by_id[name] = upstream
        for (share, fields), how in zip(fate.updates, fate.callbacks, strict=False):
            at = share * fate.renders
            self._later(at, partial(self._update, upstream, fields, how))
        self._later(fate.renders, lambda: self._end(upstream, fate.callbacks[-1]))
        return upstream

    def _update(
        self, upstream: Upstream, fields: Mapping[str, Any], how: tuple[bool, int, float, str]
    ) -> None:
        upstream.fields = dict(fields)
        self._tell(upstream, {"request_id": upstream.id, **fields}, how)

    def _end(self, upstream: Upstream, how: tuple[bool, int, float, str]) -> None:
        loop = running_loop()
        upstream.ended_at = loop.time()
        body = upstream.document(loop.time())
        if how[3] == "flat" and "result" in body:
            body["result_url"] = body.pop("result")["videoUrl"]
        elif how[3] == "bare" and upstream.fate.outcome == "FAILED":
            body = {"session_id": upstream.id, "status": "FAILED", "error": {"message": "it broke"}}
        self._tell(upstream, body, how)

    def _tell(
        self, upstream: Upstream, body: Mapping[str, Any], how: tuple[bool, int, float, str]
    ) -> None:
        lost, copies, late, _ = how
        if lost:
            return
        raw = json.dumps(body).encode()
        for copy in range(copies):
            self._later(
                late * (1 + copy), partial(self._world.callbacks.call_back, upstream.address, raw)
            )
