"""What becomes of a result's files at the host that has them, from seeds of their own."""

from dataclasses import dataclass
from random import Random
from typing import Literal

DAY = 24 * 3600.0
LINK_LIFE = 2 * DAY
"""How long links live for the service (`receiver.domain.archive.LINK_LIFE`); a few die sooner."""
MOST_BYTES = 12_000
"""ARCHIVE_MAX_BYTES."""
SIZES = (0, 1, 900, 2_500, 6_000)

TROUBLES = (
    "cut",  # reset in the middle
    "ended",  # the same, politely
    "silent",  # never answered
    "stops",  # nothing more comes after the first half
    "trickles",  # slower than a try may take
    "busy",  # 503
    "forbidden",  # 403
    "short",  # Content-Length is larger than what comes
    "lies",  # other bytes than its Repr-Digest
    "whole",  # a range is answered with the whole file
    "elsewhere",  # a range is answered with another one
    "moved",  # 302, once
    "lost",  # 302, in a circle
)


@dataclass(frozen=True)
class FileFate:
    """One file behind a link."""

    seed: int
    size: int
    content_type: str | None
    version: Literal["etag", "weak", "date"] | None
    length: bool
    """Whether Content-Length is said; else the end of the connection is the end."""
    digest: bool
    lives: float
    """Seconds from the job's end until the link is dead."""
    gone: Literal[404, 410]
    troubles: tuple[str, ...]
    """What happens to the first requests, one each."""
    hopeless: str | None
    """What happens to all others."""
    changes_after: float
    """Seconds from the job's end until there are other bytes behind the link."""

    def content(self, after: float) -> bytes:
        """The bytes so many seconds after the job's end."""
        return Random(f"{self.seed} {after >= self.changes_after}").randbytes(self.size)

    @property
    def most(self) -> int:
        """How many bytes of a range are given at once."""
        return 700 if self.seed % 2 else self.size

    @property
    def ignores_if_range(self) -> bool:
        """Whether a range is given of whatever the file is by then."""
        return self.seed % 3 == 0

    @property
    def contents(self) -> tuple[bytes, ...]:
        """All that was ever the file."""
        return self.content(0.0), self.content(float("inf"))


def file_fates(seed: int) -> tuple[FileFate, ...]:
    """The files of the job whose fate is `seed`; the first is the main one."""
    random = Random(f"files {seed}")
    return tuple(_fate(random) for _ in range(random.choice([1, 1, 1, 2, 3])))


def _fate(random: Random) -> FileFate:
    hopeless = random.choices(["short", "forbidden", "lost", "private", "large"], [1, 1, 1, 3, 3])
    return FileFate(
        seed=random.getrandbits(32),
        size=random.choice(SIZES),
        content_type=random.choice(["video/mp4", "image/png", None]),
        version=random.choice(["etag", "etag", "date", "weak", None]),
        length=random.random() < 0.8,
        digest=random.random() < 0.5,
        lives=random.choice([LINK_LIFE + DAY] * 12 + [1.5 * DAY, 600.0, 2.0]),
        gone=random.choice([404, 410]),
        troubles=tuple(random.choices(TROUBLES, k=random.choice([0, 0, 0, 1, 2, 3]))),
        hopeless=hopeless[0] if random.random() < 0.03 else None,
        changes_after=random.choice([float("inf")] * 6 + [0.5, 3.0]),
    )
