"""The checks at the end of a crash test: everything that the provider, the readers and the webhook
endpoint have seen."""

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from tests.crash.world import FINISH_TIMEOUT, World
from tests.support.service import eventually

SETTLED = {"applied", "confirmed", "denied", "late"}
"""The verdicts that an acknowledged callback can have in the end."""


@dataclass
class Tally:
    """The totals of a run that passed every check."""

    rounds: int
    jobs: int
    callbacks: int
    """Those that were acknowledged as new."""
    unknown: int
    """Jobs whose outcome cannot be known."""
    streams: int
    """Stream connections that were read."""


@dataclass
class Seen:
    """One job, as the service shows it."""

    job: dict[str, Any]
    history: list[dict[str, Any]]

    def lines(self, type_: str) -> list[dict[str, Any]]:
        return [line for line in self.history if line["type"] == type_]


async def judge(world: World, rounds: int = 0, added: Collection[str] = ()) -> Tally:
    """Wait until every job has ended, and check everything: mutual exclusion, always (no job was
    ever submitted twice), and completeness after quiescence (now that nothing breaks any more,
    every job ends with the provider's outcome, and every event and message arrives).

    An event may lack the members that were `added` since the release that wrote it; a job's history
    has them all.
    """
    for job in await world.finish():
        await _settled(world, job["request_id"])
    seen = {
        job["request_id"]: Seen(job, await world.history(job["request_id"]))
        for job in await world.finish()
    }
    await _check_orders(world, seen)
    unknown = await _check_outcomes(world, seen)
    _check_callbacks(world, seen)
    _check_stream(world, seen, added)
    _check_webhooks(world, seen)
    tally = Tally(rounds, len(seen), len(world.accepted()), unknown, world.reader.connections)
    print(f"\nlost 0, twice 0 in {tally}")
    return tally


async def _settled(world: World, request_id: str) -> None:
    """Wait until the job's callbacks have been applied."""

    async def verdicts() -> set[str]:
        lines = await world.history(request_id)
        return {line["verdict"] for line in lines if line["type"] == "callback"}

    waits = {"waiting", "claimed"}
    await eventually(verdicts, lambda seen: not seen & waits, timeout=FINISH_TIMEOUT)


async def _check_orders(world: World, seen: dict[str, Seen]) -> None:
    """Every acknowledged order has its job; a retry after a lost answer made no second one."""
    assert set(world.acknowledged) == set(world.orders)
    assert set(world.acknowledged.values()) == set(seen), "a job is lost, or was created twice"
    for key, order in world.orders.items():
        assert await world.ask(order) == world.acknowledged[key]
    assert len(await world.all_jobs()) == len(seen), "a replay created a job"


async def _check_outcomes(world: World, seen: dict[str, Seen]) -> int:
    """Each job was submitted once and has the provider's own outcome. Returns how many outcomes
    cannot be known."""
    twice = {prompt for prompt, count in (await world.provider.submissions()).items() if count > 1}
    histories = [each.history for each in seen.values() if each.job["label"] in twice]
    assert not twice, f"paid for twice: {histories}"
    at_provider = {job["input"]["prompt"]: job for job in await world.provider.jobs()}
    reported = {receipt.provider_request_id for receipt in world.accepted()}
    unknown = 0
    for key, request_id in world.acknowledged.items():
        job = seen[request_id].job
        made = at_provider.get(world.orders[key].body["input"]["prompt"])
        if job["error"] is not None and job["error"]["code"] == "submit_outcome_unknown":
            # Correct only if no callback was ever accepted: a single one would have brought the id.
            assert made is None or made["request_id"] not in reported, job
            answers = {line["outcome"] for line in seen[request_id].lines("submission")}
            assert not answers & {"accepted", "refused"}, f"an answer that is not applied: {job}"
            unknown += 1
        else:
            assert made is not None, f"an outcome without a submission: {job}"
            assert job["provider_request_id"] == made["request_id"], job
            assert job["status"] == made["status"], job
    return unknown


def _check_callbacks(world: World, seen: dict[str, Seen]) -> None:
    """Every callback that was answered `accepted` is in its job's history with a final verdict."""
    assert {receipt.status_code for receipt in world.provider.callbacks.receipts} <= {200, 503}
    by_name = {each.job["provider_request_id"]: each for each in seen.values()}
    owed: dict[str, Counter[int]] = defaultdict(Counter)
    for receipt in world.accepted():
        owed[receipt.provider_request_id][receipt.size] += 1
    for name, sizes in owed.items():
        lines = by_name[name].lines("callback")
        assert sizes <= Counter(line["bytes"] for line in lines), "an acknowledged callback is lost"
        assert {line["verdict"] for line in lines} <= SETTLED


def _check_stream(world: World, seen: dict[str, Seen], added: Collection[str]) -> None:
    """Each event exactly once and in order, however many connections it took."""
    seqs = [int(cursor.partition(".")[0]) for cursor, _ in world.reader.updates]
    assert seqs == [*range(seqs[0], seqs[0] + len(seqs))], "not once each, or not in order"
    streamed: dict[str, list[dict[str, Any]]] = {request_id: [] for request_id in seen}
    for _, job in world.reader.updates:
        streamed[job["request_id"]].append(job)
    for request_id, each in seen.items():
        assert [job["seq"] for job in streamed[request_id]] == [*range(1, each.job["seq"] + 1)]
        stored = [
            {name: value for name, value in line["job"].items() if name in job or name not in added}
            for job, line in zip(streamed[request_id], each.lines("event"), strict=True)
        ]
        assert streamed[request_id] == stored


def _check_webhooks(world: World, seen: dict[str, Seen]) -> None:
    """In order for each job, the final one at least once, and one id for each message."""
    bodies: dict[str, Any] = {}
    by_job: dict[str, list[tuple[int, str, int]]] = {request_id: [] for request_id in seen}
    for arrival in world.sink.arrivals:
        id_, body = arrival.message_id, arrival.body
        assert bodies.setdefault(id_, body) == body, "one id, two bodies"
        by_job[body["request_id"]].append((body["seq"], id_, arrival.answered))
    for request_id, each in seen.items():
        came = by_job[request_id]
        order = [seq for seq, *_ in came]
        assert order == sorted(order), f"webhooks of {request_id} out of order: {order}"
        assert len({id_ for _, id_, _ in came}) == len(set(order)), "one message, two ids"
        taken = {seq for seq, _, answered in came if answered == 200}
        assert each.job["seq"] in taken, f"the final webhook of {request_id} never came"
