"""The durable truth: what the database says after each commit, read before any caller hears of it.

Everything that users see is compared with it, and it has to follow the rules itself.
"""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from store.changes import CommitNotice
from store.records.times import Lane
from tests.simulation import money
from tests.simulation.disk import connect
from tests.simulation.loop import running_loop

if TYPE_CHECKING:
    from tests.simulation.world import World

FINAL = ("COMPLETED", "FAILED", "CANCELLED")
RANK = {"PENDING": 0, "IN_PROGRESS": 1, "COMPLETED": 2, "FAILED": 2, "CANCELLED": 2}
PROVISIONAL_FAILURES = (
    "deadline_exceeded",
    "submit_outcome_unknown",
    "result_missing",
    "provider_job_lost",
)
BY_PROVIDER = (None, "provider_failed", "canceled_by_provider")
UNSENT = ("queued", "submitting")
LEASED = {
    "relay": "SELECT 1 FROM deliveries WHERE holder IS NOT NULL",
    "submission": "SELECT 1 FROM due WHERE lane = 'submitting'",
}
RELAYED_MEMBERS = ("request_id", "status", "progress", "result", "message")


@dataclass
class LoggedEvent:
    """One durable event."""

    seq: int
    """Its place in the user's log."""
    id: str
    data: bytes
    document: dict[str, Any]
    committed_at: float
    """Loop time of its commit."""

    @property
    def code(self) -> str | None:
        """The code of the job's error."""
        error: dict[str, Any] = self.document["error"] or {}
        return error.get("code")


@dataclass
class JobHistory:
    """The history of one job, from its events."""

    user_id: int
    relayed: tuple[str, ...]
    """The names of the events that are sent to the job's webhook."""
    events: list[LoggedEvent] = field(default_factory=list)
    corrections: int = 0
    file_events: int = 0
    """How many of the newest events changed only the result's files."""

    @property
    def now(self) -> dict[str, Any]:
        return self.events[-1].document

    @property
    def outcome(self) -> LoggedEvent:
        """The newest event that did not change only files."""
        return self.events[-1 - self.file_events]


class Truth:
    """The durable state, updated after each commit."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._judge = world.judge
        self.db = connect(world.disk.path)
        self.logs: dict[int, list[LoggedEvent]] = {}
        """By user id. The first event of a log has `seq` 1."""
        self.jobs: dict[str, JobHistory] = {}
        self._verdicts: dict[int, str] = {}
        """Verdicts of callbacks that are not, or no longer, claims."""
        self._newest_callback = 0
        self._ended: dict[str, str] = {}
        """Relay messages that have ended, and their final states."""
        self.at_lease: dict[str, Callable[[], None]] = {}
        """Called once, right after a commit that leases a relay message or a submission."""
        self._places_used = set[str]()
        """The jobs that have taken a place at the provider and not given it back."""
        self._is_taking = False
        """Whether the present commit takes one."""
        self._checks = 0
        self.last_event_at = 0.0
        world.disk.after_commit = self.check_commit

    def close(self) -> None:
        self.db.close()

    def check_commit(self, changes: CommitNotice | None) -> None:
        """Read what a commit has changed; everything if `changes` is None."""
        if self._world.retiring:
            return
        if changes is None or changes.users:
            self.last_event_at = running_loop().time()
        self._is_taking = False
        for user_id in sorted(self._world.user_ids if changes is None else changes.users):
            self._read_log(user_id)
        self._check_places()
        for job_id in sorted(self.jobs if changes is None else changes.jobs):
            self._check_row(job_id)
            self._check_verdicts(job_id)
        if changes is None or changes.jobs or Lane.DELIVER in changes.due:
            self._check_deliveries()
        self._check_new_callbacks()
        self._run_lease_hooks()
        self._checks += 1
        if changes is None or changes.users or self._checks % 50 == 0:
            self._check_counts()

    # --- the event log ----------------------------------------------------------------------------

    def _read_log(self, user_id: int) -> None:
        log = self.logs.setdefault(user_id, [])
        rows = self.db.execute(
            "SELECT seq, nonce, job_id, job_seq, data FROM events WHERE user_id = ? AND seq > ?"
            " ORDER BY seq",
            (user_id, len(log)),
        ).fetchall()
        for seq, nonce, job_id, job_seq, data in rows:
            self._judge.require(seq == len(log) + 1, "the event log has no gap", user_id, seq)
            now = running_loop().time()
            event = LoggedEvent(seq, f"{seq}.{nonce}", data, json.loads(data), now)
            log.append(event)
            self._read_event(user_id, job_id, job_seq, event)

    def _read_event(self, user_id: int, job_id: str, job_seq: int, event: LoggedEvent) -> None:
        require = self._judge.require
        document = event.document
        history = self.jobs.get(job_id)
        self._judge.note(
            "event", job_id[-6:], job_seq, document["status"], document["phase"],
            document["progress"], event.code or "",
        )  # fmt: skip
        require(document["request_id"] == job_id, "an event tells of its own job", job_id)
        require(document["seq"] == job_seq, "an event carries the job's own count", job_id)
        done = document["status"] in FINAL
        require(document["done"] == done, "done is what is final", job_id)
        require((document["phase"] == "finished") == done, "finished is what is final", job_id)
        require((document["progress"] == 100) == (document["status"] == "COMPLETED"),
                "progress is 100 exactly at COMPLETED", job_id)  # fmt: skip
        require((event.code is not None) == (document["status"] in ("FAILED", "CANCELLED")),
                "an error is there exactly where a job has failed", job_id)  # fmt: skip
        if document["status"] == "COMPLETED":
            require((document["result"] or {}).get("videoUrl"), "COMPLETED has a link", job_id)
        if history is None:
            require(job_seq == 1, "a job begins with its first event", job_id, job_seq)
            require(document["phase"] == "queued", "a job begins queued", job_id)
            url, names = self.row(job_id, "webhook_url, webhook_events") or (None, None)
            relayed = tuple(names.split(",")) if url and names else ()
            history = self.jobs[job_id] = JobHistory(user_id, relayed)
        else:
            self._check_change(job_id, history, job_seq, event)
            money.check_event(self._world, history.now, document)
            if not history.file_events:
                self._check_relay_message(job_id, history, job_seq, document)
        history.events.append(event)
        if document["phase"] == "submitting":
            self._places_used.add(job_id)
            self._is_taking = True
        elif document["phase"] in ("queued", "finished"):
            self._places_used.discard(job_id)

    def _check_places(self) -> None:
        """A commit that takes a place leaves no more in use than its process may use. (A job that a
        callback has proved to be accepted has taken none.)"""
        limit = self._world.places()
        if self._is_taking and limit is not None:
            used = len(self._places_used)
            self._judge.require(used <= limit, "no more jobs in flight than places", used, limit)

    def is_full(self) -> bool:
        """Whether no queued job can be submitted for now, for want of a place."""
        limit = self._world.places()
        in_flight = "SELECT count(*) FROM jobs WHERE phase NOT IN ('queued', 'finished')"
        return limit is not None and self.one(in_flight) >= limit

    def _check_change(
        self, job_id: str, history: JobHistory, job_seq: int, event: LoggedEvent
    ) -> None:
        """Rule 3: a status never goes back, and final is final."""
        require = self._judge.require
        before, after = history.now, event.document
        require(job_seq == before["seq"] + 1, "a job's events are counted", job_id, job_seq)
        ranks = RANK[before["status"]], RANK[after["status"]]
        require(ranks[0] <= ranks[1], "a status never goes back", job_id, before["status"],
                after["status"])  # fmt: skip
        if before["phase"] not in UNSENT:
            require(after["phase"] not in UNSENT, "what may have been sent is never queued again",
                    job_id, before["phase"], after["phase"])  # fmt: skip
        if before["done"] and self._world.files.check_file_event(job_id, before, after):
            history.file_events += 1
        elif before["done"]:
            history.corrections += 1
            require(
                history.events[-1].code in PROVISIONAL_FAILURES
                and event.code in BY_PROVIDER
                and after["done"]
                and history.corrections == 1,
                "final is final, but for one correction by the provider",
                job_id, before["error"], after["status"], event.code,
            )  # fmt: skip

    def _check_relay_message(
        self, job_id: str, history: JobHistory, job_seq: int, after: dict[str, Any]
    ) -> None:
        """Rule 5: the relay message is written in the same transaction as its event."""
        before = history.now
        if after["done"]:
            name = after["status"]
        elif after["status"] != "IN_PROGRESS":
            name = None
        elif before["status"] != "IN_PROGRESS":
            name = "IN_PROGRESS"
        else:
            same = all(before[member] == after[member] for member in RELAYED_MEMBERS)
            name = None if same else "progress"
        expected = name in history.relayed
        rows = self.db.execute(
            "SELECT body FROM deliveries WHERE job_id = ? AND seq = ?", (job_id, job_seq)
        ).fetchall()
        self._judge.require(
            len(rows) == expected, "one relay message for each event asked for", job_id, job_seq
        )
        for (body,) in rows:
            message = json.loads(body)
            self._judge.require(
                message["request_id"] == job_id
                and message["seq"] == job_seq
                and all(message.get(member) == after[member] for member in RELAYED_MEMBERS),
                "a relay message is the job at its event", job_id, job_seq,
            )  # fmt: skip

    # --- the rows ---------------------------------------------------------------------------------

    def _check_row(self, job_id: str) -> None:
        row = self.row(job_id, "status, phase, seq, progress")
        history = self.jobs.get(job_id)
        self._judge.require(row is not None, "no job vanishes", job_id)
        self._judge.require(history is not None, "no job without its event", job_id)
        if row is not None and history is not None:
            now = history.now
            last = now["status"], now["phase"], now["seq"], now["progress"]
            # Every change of these columns has an event, even the step to `submitting` and back.
            self._judge.require(row == last, "the row is what its last event says", job_id, row,
                                last)  # fmt: skip

    def _check_deliveries(self) -> None:
        """Deliveries that were delivered, skipped or given up stay so: nobody retries them here."""
        states = dict(self.db.execute("SELECT id, state FROM deliveries"))
        for delivery_id, before in self._ended.items():
            now = states.get(delivery_id)
            self._judge.require(now == before, "a delivery's end is its end", delivery_id, before,
                                now)  # fmt: skip
        self._ended = {id_: state for id_, state in states.items() if state != "pending"}

    def _check_verdicts(self, job_id: str) -> None:
        rows = self.db.execute("SELECT id, verdict FROM callbacks WHERE job_id = ?", (job_id,))
        for callback_id, verdict in rows.fetchall():
            before = self._verdicts.get(callback_id, verdict)
            self._judge.require(verdict == before, "a verdict is given once", job_id, callback_id,
                                before, verdict)  # fmt: skip
            if verdict != "claimed":
                self._verdicts[callback_id] = verdict

    def _check_new_callbacks(self) -> None:
        rows = self.db.execute(
            "SELECT c.id, job_id, verdict, lane, at FROM callbacks c LEFT JOIN due d USING (job_id)"
            " WHERE c.id > ?",
            (self._newest_callback,),
        )
        for self._newest_callback, job_id, verdict, lane, at in rows.fetchall():
            # Before the answer to its submission or confirming call, a job has no poll to be made
            # due; in one commit, the answer may follow the callback.
            is_due = lane != "poll" or at <= self._world.clock.now() or self._just_answered(job_id)
            unused = verdict in ("rejected", "conflict", "failed")
            self._judge.require(is_due or not unused, "what cannot be applied makes a poll due",
                                self._newest_callback, verdict, at)  # fmt: skip

    def _just_answered(self, job_id: str) -> bool:
        """Whether this commit has the answer to the job's submission or confirming call."""
        now = running_loop().time()
        events = self.jobs[job_id].events
        return any(
            before.document["phase"] in (*UNSENT, "submit_unconfirmed", "confirming")
            and after.committed_at == now
            for before, after in pairwise(events)
        )

    def _run_lease_hooks(self) -> None:
        for what in list(self.at_lease):
            if self.one(LEASED[what]):
                self.at_lease.pop(what)()

    def _check_counts(self) -> None:
        counts = dict(self.db.execute("SELECT status, count(*) FROM jobs GROUP BY status"))
        expected = dict(Counter(history.now["status"] for history in self.jobs.values()))
        self._judge.require(counts == expected, "jobs are conserved", counts, expected)
        wrong = self.db.execute(
            "SELECT id, stored_bytes, archived_bytes FROM users u"
            " WHERE (stored_bytes, archived_bytes) <> (SELECT coalesce(sum(stored_bytes), 0),"
            " coalesce(sum(archived_bytes), 0) FROM jobs WHERE user_id = u.id)"
        ).fetchall()
        self._judge.require(not wrong, "what a user stores is the sum of the jobs", wrong)
        money.check_budgets(self._world)

    def row(self, job_id: str, columns: str) -> tuple[Any, ...] | None:
        """Some columns of a job's row."""
        found: tuple[Any, ...] | None = self.db.execute(
            f"SELECT {columns} FROM jobs WHERE id = ?", (job_id,)
        ).fetchone()
        return found

    def one(self, sql: str, *parameters: object) -> Any:
        """The first value of the first row."""
        row = self.db.execute(sql, parameters).fetchone()
        return None if row is None else row[0]
