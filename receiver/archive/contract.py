"""The interface of an archive, which stores result files under names that we choose."""

import mimetypes
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

FileLocation: TypeAlias = Path | str
"""Where a file can be read: a local file, or a signed link."""


class ArchiveUnavailable(Exception):
    """The archive cannot be used now; the message explains why to operators."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The file that a key has."""

    size: int
    sha256: str


class Archive(Protocol):
    """A folder, or a bucket."""

    async def put(self, key: str, content_type: str, content: AsyncIterator[bytes]) -> Kept | None:
        """Store `content` as `key`. When this returns, the file is complete and durable. If it
        raises or is cancelled, `key` is unchanged or has the complete file, never a part of it.

        A folder replaces no file, since an attempt can end after its lease: by then another one may
        have stored and reported other bytes. If the key has a file, it stays, and is returned. A
        bucket has no such choice: its last upload counts.

        Raises `ArchiveUnavailable`, and whatever `content` raises.
        """
        ...

    async def find(self, key: str, size: int) -> FileLocation:
        """Where the file can be read. Raises `ArchiveUnavailable`, also if a local file is missing
        or has another size; a bucket is not asked."""
        ...

    async def remove(self, folder: str) -> None:
        """Remove a folder with its files, if it exists. Raises `ArchiveUnavailable`."""
        ...

    async def sweep(self, seconds: float) -> int:
        """Remove partial files that were not written to for `seconds`. Returns the number removed.
        Raises `ArchiveUnavailable`."""
        return 0

    async def close(self) -> None:
        """Wait for its threads, if it has any: the process cannot end while they run."""
        return


def folder_of(user: str, job_id: str) -> str:
    """The folder of a job. Neither part contains a slash or begins with a dot."""
    return f"{user}/{job_id}"


def key_of(user: str, job_id: str, number: int, content_type: str) -> str:
    """The key of a file; numbers start at 1. No text from the provider gets into it: the extension
    comes from our table of media types."""
    ending = _TYPES.guess_extension(content_type, strict=False) or ""
    return f"{folder_of(user, job_id)}/{number}{ending}"


def type_of(content_type: str | None, path: str) -> str:
    """The media type in a Content-Type header, without parameters. If it is missing, invalid or
    generic, it is guessed from the path, or else `application/octet-stream`."""
    given = (content_type or "").partition(";")[0].strip().lower()
    if _TYPE.fullmatch(given) and given not in _GENERIC_TYPES:
        return given
    return _TYPES.guess_type(path, strict=False)[0] or _ANYTHING


_ANYTHING = "application/octet-stream"
_TYPE = re.compile(r"{name}/{name}".replace("{name}", "[a-z0-9][a-z0-9!#$&^_.+-]{0,126}"))
"""As in RFC 6838, section 4.2. At most 255 characters, since it is part of the job's document."""
_GENERIC_TYPES = {_ANYTHING, "binary/octet-stream"}
# Not the module's functions, which also read the machine's own tables.
_TYPES = mimetypes.MimeTypes()
_TYPES.add_type("audio/flac", ".flac")
