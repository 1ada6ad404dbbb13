"""The world around the service: users, the provider, sinks, and the machines that it runs on."""

import ssl
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from receiver.actions.keys import hash_key
from receiver.archive.download import Downloader
from receiver.archive.folder import FolderArchive
from receiver.assembly import SAFETY_SECONDS
from receiver.environment import load
from receiver.settings import ServeSettings
from receiver.signed_text import CallbackTokens
from receiver.webhooks.network import CheckedNetwork
from receiver.webhooks.signing import new_secret
from store.keys import ApiKey
from store.sqlite.database import SqliteStore
from tests.simulation.archive import Files, settings_of
from tests.simulation.callbacks import PUBLIC_URL, CallbackLine
from tests.simulation.client import Exchange, NoAnswer, Response
from tests.simulation.disk import Disk, Doom, InlineReaders, InlineWriter
from tests.simulation.faults import Spells
from tests.simulation.file_disk import FileDisk
from tests.simulation.file_fate import MOST_BYTES
from tests.simulation.file_host import CONCURRENCY, FileHost
from tests.simulation.judge import Judge
from tests.simulation.loop import Life, VirtualLoop, current_life
from tests.simulation.machine import EPOCH, FirmClock, Machine, WallClock
from tests.simulation.provider import SimulatedProvider
from tests.simulation.relays import RelayEnds
from tests.simulation.schedule import SINKS, USERS, Action, Schedule
from tests.simulation.sinks import SimulatedCourier
from tests.simulation.truth import Truth
from tests.simulation.users import Users

KEYS = ["simulation-" * 4]
NEVER = float("inf")


NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Nothing is encrypted here; the default would be read from a file for each world."""


def settings(plan: Schedule, disk: FileDisk) -> ServeSettings:
    """The service's settings: the defaults, but for what only other machines need."""
    return load(
        ServeSettings,
        provider="samsar",
        samsar_api_key="key",
        public_url=PUBLIC_URL,
        rate_limit="",
        confirm_callbacks=plan.confirm,
        look_up_submissions=plan.looks_up,
        archive_concurrency=CONCURRENCY,
        **settings_of(disk),
    )


class World:
    """Everything, of one schedule."""

    def __init__(self, loop: VirtualLoop, plan: Schedule, database: Path, cell: int = 0) -> None:
        """`cell` tells several worlds of one loop apart."""
        self.loop = loop
        self.plan = plan
        self.judge = judge = Judge(loop)
        self.random = random = Random(plan.seed ^ 0x5EED)
        self.clock = WallClock(loop)
        self.disk = Disk(database)
        self.disk.starves = partial(
            judge.fail, "no work waits for a second while other work is served"
        )
        self.truth = Truth(self.disk, judge)
        self.file_random = Random(plan.seed ^ 0xF11E)
        self.file_disk = FileDisk(database.with_name("volume"), self.file_random)
        self.file_disk.is_full = lambda: self.disk.full_until > loop.time()
        self.file_disk.now = lambda: self.clock.seconds
        self.files = Files(self, self.file_disk)
        self.truth.of_files = self.files.follows
        self.file_host = FileHost(self, f"93.184.216.{34 + cell}")
        network = CheckedNetwork(self.file_host.resolve, allow_http=True, tls=NO_TLS)
        downloader = Downloader(network, FirmClock(loop), MOST_BYTES)
        self.tokens = CallbackTokens(KEYS)
        self.callbacks = CallbackLine(self)
        self.relays = RelayEnds(self)
        self.provider = SimulatedProvider(
            self.callbacks.job_of, self.callbacks.call_back, self.callbacks.heard, random
        )
        self.sender = SimulatedCourier(self.relays.arrived, judge, random)
        for sink in SINKS:
            self.sender.troubles[sink] = Spells()
        self.machines = [
            Machine(
                f"m{number}",
                settings=settings(plan, self.file_disk),
                disk=self.disk,
                clock=self.clock,
                provider=self.provider,
                sender=self.sender,
                keys=KEYS,
                judge=judge,
                random=random,
                file_disk=self.file_disk,
                archiving=(FolderArchive(self.file_disk.root), downloader),
                alone=plan.machines == 1,
            )
            for number in range(plan.machines)
        ]
        self.users = Users(self)
        self.user_ids: list[int] = []
        self.timed = True
        """Nobody has set the clock."""
        self.undisturbed = True
        """And no process has died, stood still or been stopped."""
        self.calm = True
        """And the disk was there: what was answered was heard and kept."""
        self.retiring = False
        """Retention removes everything."""
        self.at_retention: list[Mapping[str, Any]] = []
        """Who dies then, and when."""
        self.submitting = 0
        """Users who have not had their answer."""
        self.calls = 0
        """Calls under way whose caller waits."""

    # --- the run ----------------------------------------------------------------------------------

    async def set_up(self) -> None:
        """Users and their keys, before anything runs."""
        random = self.random
        writer, readers = InlineWriter(self.disk, Doom(), random), InlineReaders(self.disk, random)
        store = SqliteStore(self.disk.path, writer, readers, random.randbytes)
        for number in range(USERS):
            secret = new_secret(random.randbytes(32))
            key = ApiKey(hash_key(f"rk_{number}"), f"rk_{number}", 0, f"user{number}", False,
                         EPOCH, None)  # fmt: skip
            user = await store.keys.add(key, secret)
            self.user_ids.append(user.id)
            self.relays.secrets.append([secret])
        await store.close()

    def act(self, action: Action) -> None:
        """Let an action of the schedule happen."""
        how = action.how
        self.sender.steady &= action.do not in (
            "stall",
            "stall_at_relay",
            "stall_at_sending",
            "clock_step",
        )
        self.undisturbed &= action.do not in (
            "stall",
            "stall_at_relay",
            "stall_at_sending",
            "stop_at_submission",
            "clock_step",
            "crash",
            "restart",
            "dies_at_sync",
            "power_cut",
        )
        self.timed &= action.do != "clock_step"
        self.calm = (
            self.undisturbed and action.do not in ("disk_full", "answers_lost") and self.calm
        )
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
                machine = self.machines[how["machine"]]
                machine.crash_at(how["where"], how["count"], how["down"])
            case "restart":
                self.machines[how["machine"]].stop(how["down"])
            case "stall":
                self.machines[how["machine"]].stall(how["lasts"])
            case "stall_at_relay":
                self.truth.at_lease["relay"] = partial(self._stall_whoever, how["lasts"])
            case "stall_at_sending":
                self.sender.at_sending = partial(self._stall, how["lasts"])
            case "stop_at_submission":
                stop = partial(self._stop_and_stall_whoever, how["stalls_after"], how["lasts"])
                self.truth.at_lease["submission"] = stop
            case "outage":
                self.provider.outages.add(self.loop.time(), how["lasts"], how["kind"])
            case "sink_trouble":
                self.sender.troubles[how["sink"]].add(self.loop.time(), how["lasts"], how["kind"])
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
                self.doom(how)
            case "dies_at_retention":
                self.at_retention.append(how)
            case "rotate_secret":
                self.relays.rotate(how["user"])
            case other:
                raise ValueError(other)

    def doom(self, how: Mapping[str, Any]) -> None:
        """Let a process die at a sync of a file so many syncs from now, or now; with `power`, all
        of them, and the disk loses what was not synced."""

        def strike() -> None:
            for machine in self.machines if how["power"] else self._machines_of(current_life()):
                machine.die(how["down"])
            if how["power"]:
                self.judge.note("power cut")
                self.file_disk.power_cut()
                self.files.check_power_cut()

        if how["syncs"] is None:
            strike()
        else:
            self.file_disk.strike, self.file_disk.at_sync = strike, how["syncs"]

    def _stall_whoever(self, lasts: float) -> None:
        self._stall(lasts, current_life())

    def _stall(self, lasts: float, life: Life | None) -> None:
        for machine in self._machines_of(life):
            machine.stall(lasts)

    def _stop_and_stall_whoever(self, stalls_after: float, lasts: float) -> None:
        """SIGTERM a moment from now, and then it stands still with what it was about to do."""
        for machine in self._machines_of(current_life()):
            later = partial(self.loop.call_later, context=self.loop.world)
            later(stalls_after / 2, machine.stop, 2.0)
            later(stalls_after, machine.stall, lasts)

    def _machines_of(self, life: Life | None) -> list[Machine]:
        name = "" if life is None else life.name
        return [machine for machine in self.machines if machine.runs(name)]

    async def _submit(self, how: Mapping[str, Any]) -> None:
        self.submitting += 1
        await self.users.submit(how)
        self.submitting -= 1

    def horizon(self) -> float:
        """Before when nothing can be due: ticks up to then would find nothing."""
        now = self.loop.time()
        if self.retiring:
            return NEVER
        stopping = any(machine.stopping for machine in self.machines)
        trouble_until = max(self.disk.full_until, self.disk.answers_lost_until)
        if self.calls or stopping or trouble_until + 5.0 > now:
            return now
        # A process hears of another one's commit at its next look: that tick finds something.
        if len(self.machines) > 1 and self.truth.told_at + 3 * SAFETY_SECONDS > now:
            return now
        one = self.truth.one
        if one("SELECT 1 FROM callbacks WHERE verdict = 'waiting'"):
            return now
        due = one(
            "SELECT min(max(coalesce(held_until, at), CASE lane WHEN 'submit' THEN coalesce(("
            " SELECT max(until, coalesce(json_extract(state, '$.users.\"' || user_id"
            " || '\".hold.until'), 0)) FROM submission_holds h WHERE h.provider = due.provider"
            "), 0) ELSE 0 END)) FROM due"
        )
        relay = one(
            "SELECT min(coalesce(held_until, next_attempt_at)) FROM deliveries d"
            " WHERE state = 'pending' AND (retried = 1 OR NOT EXISTS ("
            " SELECT 1 FROM deliveries o WHERE o.job_id = d.job_id AND o.state = 'pending'"
            " AND o.retried = 0 AND o.seq < d.seq))"
        )
        moments = [self.clock.at(at) for at in (due, relay) if at is not None]
        if (downloading := self.file_host.busy_until) is not None:
            moments.append(downloading)
        return max(now, min(moments, default=NEVER))

    def busy_until(self) -> float:
        """Until when the world goes on by itself, whatever the service does."""
        spells = (*self.sender.troubles.values(), self.file_host.outages)
        troubles = (ends for each in spells for _, ends, _ in each)
        return max(self.provider.busy_until, *troubles, 0.0)

    def is_busy(self) -> bool:
        """Whether the world has not come to rest."""
        idle = all(machine.at_rest for machine in self.machines)
        return not idle or self.submitting > 0 or self.provider.busy_until > self.loop.time()

    def what_is_due(self) -> list[object]:
        """What the service still has before it."""
        db = self.truth.db
        return [
            self.clock.now(),
            (self.calls, self.submitting, [machine.at_rest for machine in self.machines]),
            db.execute("SELECT id, job_id FROM callbacks WHERE verdict = 'waiting'").fetchall(),
            db.execute("SELECT * FROM due").fetchall(),
            db.execute("SELECT id, next_attempt_at, holder, held_until FROM deliveries"
                       " WHERE state = 'pending'").fetchall(),
        ]  # fmt: skip

    async def sleep(self, seconds: float) -> None:
        """Wait, as somebody in the world."""
        await self.loop.arrival(seconds)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin something that belongs to nobody's process."""
        self.loop.create_task(work, context=self.loop.world).add_done_callback(self._ended)

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
        patience: float,
    ) -> Response:
        """One request to one of the machines, on its way for a while. Raises `NoAnswer`."""
        await self.sleep(self.random.choice([0.001, 0.02, 0.2]))
        response = await self.call_at_once(user, method, target, headers, body, patience)
        await self.sleep(self.random.choice([0.001, 0.02]))
        return response

    async def call_at_once(
        self,
        user: int | None,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes,
        patience: float,
    ) -> Response:
        """One request that arrives now. Raises `NoAnswer`."""
        self.calls += 1
        try:
            return await self._a_machine().call(
                method, target, self._headers(user, headers), body, patience
            )
        finally:
            self.calls -= 1

    def stream(
        self, user: int, target: str, headers: Mapping[str, str], heard: Callable[[bytes], None]
    ) -> Exchange:
        """Open a stream on one of the machines. Raises `NoAnswer`."""
        return self._a_machine().stream(target, self._headers(user, headers), heard)

    def _a_machine(self) -> Machine:
        up = [machine for machine in self.machines if machine.service is not None]
        if not up:
            raise NoAnswer("connection refused")
        return self.random.choice(up)

    def _headers(self, user: int | None, headers: Mapping[str, str]) -> dict[str, str]:
        return dict(headers) if user is None else {"api-key": f"rk_{user}", **headers}
