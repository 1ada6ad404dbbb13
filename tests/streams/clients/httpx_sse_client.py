"""`httpx-sse`: URL KEY. Prints each event as `event id data`."""

import sys

import httpx
from httpx_sse import connect_sse

url, key = sys.argv[1:]
with (
    httpx.Client(timeout=30, trust_env=False, headers={"API-KEY": key}) as client,
    connect_sse(client, "GET", url) as stream,
):
    for event in stream.iter_sse():
        print(event.event, event.id or "-", event.data, flush=True)
