"""Calls of Python's `replicate` 2.0.0b4."""

import asyncio
from typing import Any

import replicate

from tests.clients.scripts.calls import INPUT, KEY, ROOT, orders, run

MODEL, VERSION = "owner/name", "owner/name:" + 32 * "5c"
NAMES = {"model_owner": "owner", "model_name": "name"}

client = replicate.Replicate(bearer_token=KEY, base_url=f"{ROOT}/v1")


def shown(output: Any) -> Any:
    return [f"{type(file).__name__} {file.url}" for file in output]


def create(key: str | None = None) -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    return client.models.predictions.create(**NAMES, input=INPUT, extra_headers=headers)


async def run_async() -> Any:
    other = replicate.AsyncReplicate(bearer_token=KEY, base_url=f"{ROOT}/v1")
    output = await other.run(MODEL, input=INPUT)
    return [f"{type(file).__name__} {file.url}" for file in output]


def follow() -> Any:
    made = create()
    ended = client.predictions.wait(made.id)
    again = client.predictions.get(prediction_id=made.id)
    return [made.status, ended.status, again.status, again.output, again.input, again.model]


def cancel() -> Any:
    return client.predictions.cancel(prediction_id=create().id).status


def listed() -> Any:
    made = create()
    found = next(each for each in client.predictions.list() if each.id == made.id)
    return [found.input, found.model]


def unknown() -> Any:
    try:
        client.predictions.get(prediction_id="nobody")
    except replicate.NotFoundError as error:
        return error.status_code


run(
    {
        "run": lambda: shown(client.run(MODEL, input=INPUT)),
        "run with a version": lambda: shown(client.run(VERSION, input=INPUT)),
        "run without waiting": lambda: shown(client.run(MODEL, input=INPUT, wait=False)),
        "run, async": lambda: asyncio.run(run_async()),
        "create, wait, get": follow,
        "cancel": cancel,
        "list": listed,
        "get what is unknown": unknown,
        "webhooks.default.secret": lambda: client.webhooks.default.secret.get().key[:6],
        "orders": orders(lambda key: create(key).id),
    }
)
