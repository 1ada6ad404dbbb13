"""Where result files are kept: a folder, or a bucket."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from receiver.archive.contract import Archive
from receiver.archive.folder import FolderArchive


def open_archive(url: str) -> Archive:
    """The archive at `file:///folder` or `s3://bucket/prefix`. Does no I/O.

    Raises `ArchiveUnavailable` if the settings of a bucket are not valid."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return FolderArchive(Path(unquote(parts.path)))
    from receiver.archive.bucket import BucketArchive  # needs the extra `s3`

    return BucketArchive(url)
