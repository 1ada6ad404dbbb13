"""Checks the archive's promise, "stored means whole": at each commit, at each answer, at the end,
and after retention has removed everything."""

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from receiver.domain.results import links_of
from tests.simulation.client import NoAnswer, Response
from tests.simulation.file_fate import DAY, FileFate

if TYPE_CHECKING:
    from tests.simulation.world import World

MIN_LINK_LIFE = DAY
"""A link that lives for this long after the outcome is downloaded, whatever happens meanwhile."""
RETENTION_DAYS = 30.0
LONGEST_REMOVAL = DAY / 8
"""Seconds that removal may take: an hour until a clock is trusted again, an hour until a partial
file is old, and an hour until the next sweep."""
TABLES = ("jobs", "due", "events", "callbacks", "deliveries", "archive_removals")
FINAL_ERRORS = ("bad_status: 404", "bad_status: 410")


class Files:
    """The files of all jobs: what the provider's host has, and what the archive keeps."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._disk = world.file_disk

    def check_request(self, link: str) -> tuple[FileFate | None, float]:
        """Check a request at the host. Returns the file's fate, and seconds since the job's end."""
        upstream, fate = self._find(link)
        if upstream is None or fate is None or upstream.ended_at is None:
            return None, 0.0
        history = self._world.truth.jobs[upstream.job_id]
        self._world.judge.require(history.now["status"] == "COMPLETED",
                                  "a file is downloaded after its outcome", link)  # fmt: skip
        return fate, self._world.loop.time() - upstream.ended_at

    def _find(self, link: str) -> tuple[Any, FileFate | None]:
        _, _, host, name, *number = link.split("/")
        upstream = self._world.provider.by_id.get(name)
        if upstream is None or host != "cdn.example":
            return None, None  # a forged link
        return upstream, upstream.fate.files[int(number[0])]

    def _contents_of(self, link: str) -> tuple[bytes, ...]:
        _, fate = self._find(link)
        return () if fate is None else fate.contents

    # --- at each commit ---------------------------------------------------------------------------

    def check_file_event(
        self, job_id: str, before: Mapping[str, Any], after: Mapping[str, Any]
    ) -> bool:
        """Whether an event of a finished job changes only its files; checks the event if so."""
        apart = {"archive", "seq", "updated_at"}
        if any(before[name] != after[name] for name in after.keys() - apart):
            return False
        require = self._world.judge.require
        require(before["archive"] != after["archive"], "an event says what has changed", job_id)
        for old, new in zip(before["archive"], after["archive"], strict=True):
            require(old["link"] == new["link"], "a job's files stay the same", job_id)
            require(old == new or old["state"] == "pending", "a file's end is its end", job_id, old,
                    new)  # fmt: skip
        self.check_stored(job_id, after)
        return True

    def check_stored(self, job_id: str, document: Mapping[str, Any]) -> None:
        """A file that is called stored is on the disk, whole, even if the power fails now."""
        kept = self._world.truth.one("SELECT archive FROM jobs WHERE id = ?", job_id)
        for file, row in zip(document["archive"], json.loads(kept or "[]"), strict=True):
            if file["state"] != "stored":
                continue
            content = self._disk.durable(row["key"])
            self._world.judge.require(
                content is not None
                and content in self._contents_of(file["link"])
                and file["sha256"] == hashlib.sha256(content).hexdigest()
                and file["bytes"] == len(content),
                "stored means whole", job_id, row["key"],
                None if content is None else len(content), file,
            )  # fmt: skip

    def check_power_cut(self) -> None:
        """A file under its final name is whole, even if the database does not mention it yet."""
        whole = {
            content
            for upstream in self._world.provider.by_id.values()
            for fate in upstream.fate.files
            for content in fate.contents
        }
        for key, content in self._disk.files().items():
            self._world.judge.require(content in whole, "a file that has its name is whole", key,
                                      len(content))  # fmt: skip
        if not self._world.retiring:
            for job_id, history in self._world.truth.jobs.items():
                self.check_stored(job_id, history.now)

    # --- users ------------------------------------------------------------------------------------

    async def fetch(self, how: Mapping[str, Any]) -> None:
        """A user fetches a file of a result, or a part of it."""
        world = self._world
        submission = world.users.submissions.get(how["label"])
        if submission is None or not submission.request_ids:
            return
        job_id, number = submission.request_ids[-1], how["number"]
        before = world.truth.jobs[job_id].now
        headers = {} if how["start"] is None else {"range": f"bytes={how['start']}-"}
        try:
            target = f"/v1/jobs/{job_id}/result?n={number}"
            response = await world.call(submission.user, "GET", target, headers, b"", 30.0)
        except NoAnswer:
            return
        world.judge.note("fetch", how["label"], number, response.status, len(response.body))
        files = before["archive"][number - 1 :]
        if files and files[0]["state"] == "stored":
            world.judge.require(response.status in (200, 206, 416, 503), "what is stored is served",
                                job_id, response.status)  # fmt: skip
        self._check_answer(job_id, number, how["start"], response)

    def _check_answer(
        self, job_id: str, number: int, start: int | None, response: Response
    ) -> None:
        require = self._world.judge.require
        now = self._world.truth.jobs[job_id].now
        links = links_of(now["result"] or {})
        if response.status in (200, 206) and response.headers.get("etag"):
            link = links[number - 1]
            fitting = [
                content[start or 0 :] if response.status == 206 else content
                for content in self._contents_of(link)
                if response.headers["etag"] == f'"{hashlib.sha256(content).hexdigest()}"'
            ]
            require(response.body in fitting, "nothing partial is served", job_id, number,
                    len(response.body))  # fmt: skip
        elif response.status == 302:
            require(response.headers["location"] in links, "a redirect leads to the provider",
                    job_id, response.headers)  # fmt: skip
        else:
            require(response.status in (200, 404, 409, 416, 503), "a file is answered", response)

    # --- in the end -------------------------------------------------------------------------------

    def check_end(self) -> None:
        """Every file whose link lived long enough was stored, and is still there."""
        for job_id, history in self._world.truth.jobs.items():
            document, require = history.now, self._world.judge.require
            self.check_stored(job_id, document)
            links = links_of(document["result"] or {}) if document["status"] == "COMPLETED" else []
            require([file["link"] for file in document["archive"]] == links,
                    "each link of a result is kept", job_id)  # fmt: skip
            for file in document["archive"]:
                require(file["state"] != "pending", "every download ends", job_id, file)
                if file["state"] == "failed":
                    self._check_failed(history.outcome.committed_at, file)

    def _check_failed(self, told_at: float, file: Mapping[str, Any]) -> None:
        upstream, fate = self._find(file["link"])
        require = self._world.judge.require
        gone = file["error"] in FINAL_ERRORS
        require(not gone or file["link"] in self._world.file_host.gone,
                "what is given up was called dead", file)  # fmt: skip
        if fate is None or fate.permanent_fault is not None:
            return
        died_at = upstream.ended_at + fate.link_life
        require(
            died_at < told_at + MIN_LINK_LIFE, "a link that lives long enough is downloaded", file
        )

    # --- retention --------------------------------------------------------------------------------

    async def retire(self) -> None:
        """Let retention remove everything, with the faults that the schedule has for it."""
        world = self._world
        world.retiring = True
        for follower in world.users.followers:
            follower.leave()
        ends = [world.clock.at(at) for (at,) in world.truth.db.execute("SELECT done_at FROM jobs")]
        expiry = max([*ends, world.loop.time()]) + RETENTION_DAYS * DAY
        await world.loop.arrival_at(expiry)
        for how in world.at_retention:
            await world.sleep(how.get("after", 0.0))
            world.die_at_sync(how)
        while self._is_left() and world.loop.time() < expiry + LONGEST_REMOVAL:
            await world.sleep(30.0)
        rows = {name: world.truth.one(f"SELECT count(*) FROM {name}") for name in TABLES}
        left = [str(path) for path in self._disk.root.rglob("*") if path.is_file()]
        world.judge.require(not any(rows.values()) and not left,
                            "retention leaves nothing", rows, left)  # fmt: skip

    def _is_left(self) -> bool:
        rows = any(self._world.truth.one(f"SELECT 1 FROM {name}") for name in TABLES)
        return rows or any(path.is_file() for path in self._disk.root.rglob("*"))
