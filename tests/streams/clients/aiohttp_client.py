"""`aiohttp-sse-client`: URL KEY. Prints each event as `event id data`."""

import asyncio
import sys

from aiohttp import ClientSession
from aiohttp_sse_client.client import EventSource


async def main(url: str, key: str) -> None:
    async with (
        ClientSession(headers={"API-KEY": key}) as session,
        EventSource(url, session=session) as stream,
    ):
        async for event in stream:
            print(event.type, event.last_event_id or "-", event.data, flush=True)
            if event.type == "done":
                break


asyncio.run(main(*sys.argv[1:]))
