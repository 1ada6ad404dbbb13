"""A file is called stored when all of it has come, and is written beside that."""

import asyncio
from collections.abc import AsyncIterator
from unittest.mock import patch

from receiver.archive.folder import FolderArchive
from tests.simulation.known_bad.variant import Variant

_put = FolderArchive.put
_writing: list[asyncio.Task[None]] = []


async def _put_later(
    self: FolderArchive, key: str, content_type: str, content: AsyncIterator[bytes]
) -> None:
    pieces = [piece async for piece in content]

    async def again() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    _writing[:] = [asyncio.create_task(_put(self, key, content_type, again()))]


VARIANT = Variant(
    lambda: patch.object(FolderArchive, "put", _put_later), caught_by=("stored means whole",)
)
