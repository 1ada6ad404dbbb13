"""What the tests of the providers' own clients send."""

from typing import Any

import httpx

from tests.support.service import eventually

PREDICTIONS = "/replicate/v1/predictions"
MODEL = "/replicate/v1/models/owner/name/predictions"
ENDPOINT = "/fal/fal-ai/flux/dev"
INPUT = {"prompt": "A heron", "seed": 17454220438242315174}


async def created(client: httpx.AsyncClient, path: str, **body: Any) -> dict[str, Any]:
    answer = await client.post(path, json={"input": INPUT, **body})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def ended(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    async def read() -> dict[str, Any]:
        found: dict[str, Any] = (await client.get(url)).json()
        return found

    done = ("succeeded", "failed", "canceled", "COMPLETED")
    return await eventually(read, lambda found: found["status"] in done)
