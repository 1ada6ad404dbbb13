"""The fate of a result's files at their host. Each file's fate has a seed of its own."""

from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Literal

DAY = 24 * 3600.0
LINK_LIFE = 2 * DAY
"""How long the service believes that links live: replaces `receiver.domain.archive.LINK_LIFE`. Most
live a day longer, and a few die sooner."""
MAX_BYTES = 12_000
"""ARCHIVE_MAX_BYTES."""
SIZES = (0, 1, 900, 2_500, 6_000)

FAULTS = (
    "cut",  # reset in the middle
    "ended",  # the same, but closed in order
    "silent",  # never answered
    "stops",  # nothing comes after the first half
    "trickles",  # slower than an attempt may take
    "busy",  # 503
    "forbidden",  # 403
    "short",  # Content-Length is larger than the body
    "lies",  # the bytes do not match their Repr-Digest
    "moved",  # 302, once
    "lost",  # 302, in a loop
)


@dataclass(frozen=True)
class FileFate:
    """One file behind a link."""

    seed: int
    size: int
    content_type: str | None
    length: bool
    """Whether there is a Content-Length; without it, the end of the connection ends the file."""
    digest: bool
    link_life: float
    """Seconds from the job's end until the link is dead."""
    gone: Literal[404, 410]
    faults: tuple[str, ...]
    """The faults of the first requests, one each."""
    permanent_fault: str | None
    """The fault of all later requests, if any."""
    changes_after: float
    """Seconds from the job's end until the link leads to other bytes."""

    def content(self, after: float) -> bytes:
        """The bytes at this many seconds after the job's end."""
        return Random(f"{self.seed} {after >= self.changes_after}").randbytes(self.size)

    @cached_property
    def contents(self) -> tuple[bytes, ...]:
        """Every version of the file."""
        return self.content(0.0), self.content(float("inf"))


def file_fates(seed: int) -> tuple[FileFate, ...]:
    """The files of the job whose fate has this seed; the first is the main one."""
    random = Random(f"files {seed}")
    return tuple(_fate(random) for _ in range(random.choice([1, 1, 1, 2, 3])))


def _fate(random: Random) -> FileFate:
    permanent_fault = random.choices(
        ["short", "forbidden", "lost", "private", "large"], [1, 1, 1, 3, 3]
    )
    return FileFate(
        seed=random.getrandbits(32),
        size=random.choice(SIZES),
        content_type=random.choice(["video/mp4", "image/png", None]),
        length=random.random() < 0.8,
        digest=random.random() < 0.5,
        link_life=random.choice([LINK_LIFE + DAY] * 12 + [1.5 * DAY, 600.0, 2.0]),
        gone=random.choice([404, 410]),
        faults=tuple(random.choices(FAULTS, k=random.choice([0, 0, 0, 1, 2, 3]))),
        permanent_fault=permanent_fault[0] if random.random() < 0.03 else None,
        changes_after=random.choice([float("inf")] * 6 + [0.5, 3.0]),
    )
