"""Calls of Python's `fal-client`, which speaks only https, and reads its host as it is imported."""

import asyncio
import os
from typing import Any

from tests.clients.scripts.calls import INPUT, KEY, ROOT, orders, run

os.environ["FAL_QUEUE_RUN_HOST"] = ROOT.removeprefix("https://")

import fal_client  # it needs the host that is set above

APP = "fal-ai/flux/dev"
client = fal_client.SyncClient(key=KEY)


def submit_and_get() -> Any:
    return client.submit(APP, arguments=INPUT).get()


def by_id() -> Any:
    made = client.submit(APP, arguments=INPUT)
    made.get()
    status = client.status(APP, made.request_id)
    return [type(status).__name__, status.error, client.result(APP, made.request_id)]


def events() -> Any:
    seen = [type(each).__name__ for each in client.submit(APP, arguments=INPUT).iter_events()]
    return [seen[-1], sorted({*seen} - {"Queued", "InProgress", "Completed"})]


def subscribe() -> Any:
    ids: list[str] = []
    updates: list[Any] = []
    result = client.subscribe(
        APP,
        arguments=INPUT,
        with_logs=True,
        on_enqueue=ids.append,
        on_queue_update=updates.append,
    )
    return [len(ids), type(updates[-1]).__name__, updates[-1].error, result]


def cancel() -> Any:
    made = client.submit(APP, arguments=INPUT)
    made.cancel()
    *_, last = made.iter_events()
    return [type(last).__name__, last.error is not None]


def cancel_too_late() -> Any:
    made = client.submit(APP, arguments=INPUT)
    made.get()
    try:
        made.cancel()
    except fal_client.FalClientHTTPError as error:
        return [error.status_code, error.response.json()["status"]]


def unknown() -> Any:
    try:
        client.status(APP, "nobody")
    except fal_client.FalClientHTTPError as error:
        return error.status_code


async def run_async() -> Any:
    other = fal_client.AsyncClient(key=KEY)
    made = await other.submit(APP, arguments=INPUT)
    return [await made.get(), await other.subscribe(APP, arguments=INPUT)]


def create(key: str | None) -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    return client.submit(APP, arguments=INPUT, headers=headers).request_id


run(
    {
        "submit, get": submit_and_get,
        "status, result": by_id,
        "iter_events": events,
        "subscribe": subscribe,
        "cancel": cancel,
        "cancel too late": cancel_too_late,
        "status of what is unknown": unknown,
        "submit, subscribe, async": lambda: asyncio.run(run_async()),
        "orders": orders(create),
    }
)
