"""The world of a simulation: users, the provider, sinks, and the machines that run the service."""

from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from receiver.app import STORE_CHECK_SECONDS
from receiver.domain.schedule import DAY
from receiver.engine.keys import hash_key
from receiver.signed_text import Signer
from receiver.webhooks.signing import new_secret
from store.keys import ApiKey
from store.sqlite.database import SqliteStore
from tests.simulation.archive import Files
from tests.simulation.callbacks import ProviderNetwork
from tests.simulation.client import Exchange, NoAnswer, Response
from tests.simulation.disk import CrashPoint, Disk, InlineReadPool, InlineWriter
from tests.simulation.file_disk import FileDisk
from tests.simulation.file_host import FileHost
from tests.simulation.judge import Judge
from tests.simulation.loop import NEVER, VirtualLoop
from tests.simulation.machine import EPOCH, KEYS, Machine, WallClock
from tests.simulation.money import BUDGET, LIMITED
from tests.simulation.process import current_process
from tests.simulation.provider import SimulatedProvider
from tests.simulation.schedule import USERS, Action, Schedule
from tests.simulation.sinks import SimulatedSender
from tests.simulation.truth import Truth
from tests.simulation.users import Users


class World:
    """Everything in one simulated schedule."""

    def __init__(self, loop: VirtualLoop, schedule: Schedule, database: Path) -> None:
        self.loop = loop
        self.schedule = schedule
        self.judge = Judge(loop)
        self.random = Random(schedule.seed ^ 0x5EED)
        self.file_random = Random(schedule.seed ^ 0xF11E)
        self.clock = WallClock(loop)
        self.signer = Signer(KEYS)
        self.performed: set[str] = set()
        """The kinds of actions that have happened."""
        self.retiring = False
        """Whether retention is removing everything."""
        self.at_retention: list[Mapping[str, Any]] = []
        """What dies during retention, and when."""
        self.submitting = 0
        """How many users still wait for an answer to a submission."""
        self.calls = 0
        """How many calls are under way."""
        self.user_ids: list[int] = []
        self.disk = Disk(database)
        self.disk.on_starvation = partial(
            self.judge.fail, "no work waits for a second while other work is served"
        )
        self.truth = Truth(self)
        self.file_disk = FileDisk(self, database.with_name("volume"))
        self.file_host = FileHost(self, "93.184.216.34")
        self.files = Files(self)
        self.callbacks = ProviderNetwork(self)
        self.provider = SimulatedProvider(self)
        self.sender = SimulatedSender(self)
        self.users = Users(self)
        self.machines = [Machine(self, f"m{number}") for number in range(schedule.machines)]

    def close(self) -> None:
        """Close all connections to the database."""
        for machine in self.machines:
            machine.close()
        self.truth.close()

    # --- the run ----------------------------------------------------------------------------------

    async def set_up(self) -> None:
        """Create users and their keys, and boot the machines."""
        random = self.random
        writer = InlineWriter(self.disk, CrashPoint(), random)
        reads = InlineReadPool(self.disk, random)
        store = SqliteStore(self.disk.path, writer, reads, random.randbytes)
        for number in range(USERS):
            secret = new_secret(random.randbytes(32))
            key = ApiKey(hash_key(f"rk_{number}"), f"rk_{number}", 0, f"user{number}", False,
                         EPOCH, None)  # fmt: skip
            user = await store.keys.add(key, secret)
            self.user_ids.append(user.id)
            self.sender.secrets.append([secret])
        await store.close()
        limited = {"user_id": self.user_ids[LIMITED], "budget": BUDGET.text}
        self.truth.db.execute("INSERT INTO budgets (user_id, budget) VALUES (:user_id, :budget)",
                              limited)  # fmt: skip
        for machine in self.machines:
            machine.boot()

    async def play(self) -> None:
        """Run the schedule."""
        for action in self.schedule.actions:
            await self.loop.arrival_at(max(self.loop.time(), action.at))
            self.act(action)

    def act(self, action: Action) -> None:
        """Run one action of the schedule."""
        how = action.how
        self.performed.add(action.do)
        self.judge.note("action", action.do, *(f"{k}={v}" for k, v in how.items()))
        match action.do:
            case "submit":
                self.spawn(self._submit(how))
            case "cancel":
                self.spawn(self.users.cancel(how))
            case "follow":
                self.users.follow(how)
            case "forge":
                self.callbacks.forge(how)
            case "flood":
                self.callbacks.flood(how["calls"])
            case "crash":
                self.machines[how["machine"]].crash_at(how["where"], how["count"], how["down"])
            case "change_limit":
                machine = self.machines[how["machine"]]
                machine.set_places(how["places"])
                machine.stop(how["down"])
            case "restart":
                self.machines[how["machine"]].stop(how["down"])
            case "stall":
                self.machines[how["machine"]].stall(how["lasts"])
            case "stall_at_relay":
                self.truth.at_lease["relay"] = partial(self._stall_current, how["lasts"])
            case "stall_at_sending":
                self.sender.at_sending = partial(self._stall_current, how["lasts"])
            case "stop_at_submission":
                stop = partial(self._stop_and_stall_current, how["stalls_after"], how["lasts"])
                self.truth.at_lease["submission"] = stop
            case "outage":
                self.provider.outages.add(self.loop.time(), how["lasts"], how["kind"])
            case "sink_trouble":
                self.sender.faults[how["sink"]].add(self.loop.time(), how["lasts"], how["kind"])
            case "disk_full":
                self.disk.full_until = self.loop.time() + how["lasts"]
            case "answers_lost":
                self.disk.answers_lost_until = self.loop.time() + how["lasts"]
            case "clock_step":
                self.clock.ahead += round(how["by"] * 1_000)
            case "fetch":
                self.spawn(self.files.fetch(how))
            case "file_outage":
                self.file_host.outages.add(self.loop.time(), how["lasts"], how["kind"])
            case "dies_at_sync" | "power_cut":
                self.die_at_sync(how)
            case "dies_at_retention":
                self.at_retention.append(how)
            case "rotate_secret":
                self.sender.rotate(how["user"])
            case other:
                raise ValueError(other)

    def die_at_sync(self, how: Mapping[str, Any]) -> None:
        """Kill the process that syncs, after this many more syncs of files, or now. With `power`,
        kill all processes and lose what was not synced."""

        def crash() -> None:
            for machine in self.machines if how["power"] else self._current_machines():
                machine.die(how["down"])
            if how["power"]:
                self.judge.note("power cut")
                self.file_disk.power_cut()
                self.files.check_power_cut()

        if how["syncs"] is None:
            crash()
        else:
            self.file_disk.crash, self.file_disk.at_sync = crash, how["syncs"]

    def _stall_current(self, lasts: float) -> None:
        for machine in self._current_machines():
            machine.stall(lasts)

    def _stop_and_stall_current(self, stalls_after: float, lasts: float) -> None:
        """Send SIGTERM to the current machine, and stall it a moment later, during its work."""
        for machine in self._current_machines():
            later = partial(self.loop.call_later, context=self.loop.world_context)
            later(0.95 * stalls_after, machine.stop, 2.0)
            later(stalls_after, machine.stall, lasts)

    def places(self) -> int | None:
        """The limit of the process that runs this code, or else the highest; None for none."""
        machines = self._current_machines() or self.machines
        limits = [each.places for each in machines if each.places is not None]
        return max(limits, default=None)

    def _current_machines(self) -> list[Machine]:
        """The machine whose process runs this code; none if the code belongs to the world."""
        process = current_process()
        return [] if process is None else [each for each in self.machines if each.runs(process)]

    async def _submit(self, how: Mapping[str, Any]) -> None:
        self.submitting += 1
        await self.users.submit(how)
        self.submitting -= 1

    def horizon(self) -> float:
        """The time before which nothing can be due: ticks before it would find nothing."""
        now = self.loop.time()
        if self.retiring:
            return NEVER
        stopping = any(machine.stopping for machine in self.machines)
        fault_until = max(self.disk.full_until, self.disk.answers_lost_until)
        if self.calls or stopping or fault_until + 5.0 > now:
            return now
        # A process learns of another's commit when it next checks: that tick finds something.
        if len(self.machines) > 1 and self.truth.last_event_at + 3 * STORE_CHECK_SECONDS > now:
            return now
        return max(now, self.next_due())

    def next_due(self) -> float:
        """The earliest time at which something is due or was, by the database and the archive."""
        one = self.truth.one
        # A queued job is due since its creation. If the provider has no place, or says "later" for
        # hours, it may go on waiting, as long as something happens.
        freed_at = EPOCH + self.clock.ahead + round(self.truth.last_event_at * 1_000)
        due = one(
            "SELECT min(max(at, coalesce(held_until, at), iif(lane = 'submit', ?, 0))) FROM due"
            " WHERE lane <> 'submit' OR NOT ?",
            freed_at,
            self.truth.is_full(),
        )
        relay = one(
            "SELECT min(max(next_attempt_at, coalesce(held_until, 0))) FROM deliveries d"
            " WHERE state = 'pending' AND (retried = 1 OR NOT EXISTS ("
            " SELECT 1 FROM deliveries o WHERE o.job_id = d.job_id AND o.state = 'pending'"
            " AND o.retried = 0 AND o.seq < d.seq))"
        )
        oldest = one("SELECT min(created_at) FROM jobs WHERE phase = 'queued'")
        ends = None if oldest is None else oldest + DAY
        moments = [self.clock.at(at) for at in (due, relay, ends) if at is not None]
        if (downloading := self.file_host.busy_until) is not None:
            moments.append(downloading)
        return min(moments, default=NEVER)

    def busy_until(self) -> float:
        """The time until which the world continues by itself, whatever the service does."""
        faults = (*self.sender.faults.values(), self.file_host.outages)
        return max(self.provider.busy_until, *(each.last_end for each in faults))

    def is_busy(self) -> bool:
        """Whether the world is not at rest."""
        idle = all(machine.at_rest for machine in self.machines)
        return not idle or self.submitting > 0 or self.provider.busy_until > self.loop.time()

    def what_is_due(self) -> list[object]:
        """What the service still has to do."""
        db = self.truth.db
        return [
            self.clock.now(),
            (self.calls, self.submitting, [machine.at_rest for machine in self.machines]),
            db.execute("SELECT * FROM due").fetchall(),
            db.execute("SELECT id, next_attempt_at, holder, held_until FROM deliveries"
                       " WHERE state = 'pending'").fetchall(),
        ]  # fmt: skip

    async def sleep(self, seconds: float) -> None:
        """Wait, as part of the world."""
        await self.loop.arrival(seconds)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Start work that belongs to no process."""
        self.loop.create_task(work, context=self.loop.world_context).add_done_callback(self._ended)

    def _ended(self, task: Any) -> None:
        if not task.cancelled() and task.exception() is not None:
            self.loop.stopped_by = task.exception()

    # --- the network to the service ---------------------------------------------------------------

    async def call(
        self,
        user: int | None,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes,
        timeout: float,
        *,
        instant: bool = False,
    ) -> Response:
        """Make one request to one of the machines, with a network delay unless it is `instant`.
        Raises `NoAnswer`."""
        if not instant:
            await self.sleep(self.random.choice([0.001, 0.02, 0.2]))
        self.calls += 1
        try:
            response = await self._a_machine().call(
                method, target, self._headers(user, headers), body, timeout
            )
        finally:
            self.calls -= 1
        if not instant:
            await self.sleep(self.random.choice([0.001, 0.02]))
        return response

    def stream(
        self, user: int, target: str, headers: Mapping[str, str], on_chunk: Callable[[bytes], None]
    ) -> Exchange:
        """Open a stream on one of the machines. Raises `NoAnswer`."""
        return self._a_machine().stream(target, self._headers(user, headers), on_chunk)

    def _a_machine(self) -> Machine:
        up = [machine for machine in self.machines if machine.service is not None]
        if not up:
            raise NoAnswer("connection refused")
        return self.random.choice(up)

    def _headers(self, user: int | None, headers: Mapping[str, str]) -> dict[str, str]:
        return dict(headers) if user is None else {"api-key": f"rk_{user}", **headers}
