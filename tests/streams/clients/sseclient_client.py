"""`sseclient-py`: URL KEY. Prints each event as `event id data`."""

import sys

import httpx
from sseclient import SSEClient

url, key = sys.argv[1:]
with (
    httpx.Client(timeout=30, trust_env=False, headers={"API-KEY": key}) as client,
    client.stream("GET", url) as response,
):
    for event in SSEClient(response.iter_bytes()).events():
        print(event.event, event.id or "-", event.data, flush=True)
        if event.event == "done":
            break
