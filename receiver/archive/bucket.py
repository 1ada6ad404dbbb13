"""An archive in S3 or a compatible service, with obstore (extra `s3`).

An upload becomes visible only when it is completed, so a partial file is never visible. The parts
uploaded by a killed process stay invisible until a lifecycle rule of the bucket
(AbortIncompleteMultipartUpload) removes them.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from receiver.archive.contract import Archive, ArchiveUnavailable

PARTS_AT_ONCE = 2
"""Of 5 MiB each, which are in memory."""
SIGNED_LINK_LIFE = timedelta(minutes=15)


class BucketArchive(Archive):
    """Result files in a bucket, which has no partial files to sweep."""

    def __init__(self, url: str) -> None:
        """`url` is `s3://bucket/prefix`; `AWS_…` environment variables configure the rest. Raises
        `ArchiveUnavailable` if they are not valid."""
        with _translate_errors():
            self._store = S3Store.from_url(url, client_options={"allow_http": True})

    async def put(self, key: str, content_type: str, content: AsyncIterator[bytes]) -> None:
        name = key.replace("/", "-")
        with _translate_errors():
            await obstore.put_async(
                self._store,
                key,
                content,
                attributes={
                    "Content-Type": content_type,
                    "Content-Disposition": f'inline; filename="{name}"',
                },
                use_multipart=True,
                max_concurrency=PARTS_AT_ONCE,
            )

    async def find(self, key: str, size: int) -> str:
        with _translate_errors():
            return await obstore.sign_async(self._store, "GET", key, SIGNED_LINK_LIFE)

    async def remove(self, folder: str) -> None:
        with _translate_errors():
            async for page in obstore.list(self._store, prefix=folder):
                await obstore.delete_async(self._store, [found["path"] for found in page])


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        # obstore panics, for example if an endpoint lacks http://; that class cannot be imported.
        if not isinstance(error, BaseError | OSError) and type(error).__name__ != "RustPanic":
            raise
        reason = str(error).partition("\n\nDebug source:")[0]
        raise ArchiveUnavailable(" ".join(reason.split())[:300]) from error
