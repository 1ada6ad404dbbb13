"""Calls of Python's `replicate` 1.0.7."""

import asyncio
from typing import Any

import replicate

from tests.clients.scripts.calls import INPUT, KEY, ROOT, Webhooks, orders, run

MODEL, VERSION = "owner/name", "owner/name:" + 32 * "5c"


def client(key: str | None = None) -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    return replicate.Client(api_token=KEY, base_url=ROOT, headers=headers)


def shown(output: Any) -> Any:
    return [f"{type(file).__name__} {file}" for file in output]


def create(**members: Any) -> Any:
    return client().predictions.create(model=MODEL, input=INPUT, **members)


def follow() -> Any:
    prediction = create()
    states = [prediction.status]
    prediction.wait()
    states.append(prediction.status)
    again = client().predictions.get(prediction.id)
    return [*states, again.status, again.output, again.input, again.model, again.error]


def cancel() -> Any:
    prediction = create()
    prediction.cancel()
    return prediction.status


def listed() -> Any:
    made = create()
    page = client().predictions.list()
    found = next(each for each in page.results if each.id == made.id)
    return [page.previous, page.next, found.input, found.model]


def unknown() -> Any:
    try:
        client().predictions.get("nobody")
    except replicate.exceptions.ReplicateError as error:
        return error.status


def webhook() -> Any:
    hooks = Webhooks()
    made = create(webhook=hooks.url, webhook_events_filter=["completed"])
    headers, body = hooks.last()
    secret = client().webhooks.default.secret()
    replicate.webhook.Webhooks.validate(headers=headers, body=body, secret=secret, tolerance=60)
    try:
        replicate.webhook.Webhooks.validate(headers=headers, body=body + " ", secret=secret)
    except replicate.webhook.InvalidSignatureError as error:
        return [made.id in body, str(error)]


run(
    {
        "run": lambda: shown(client().run(MODEL, input=INPUT)),
        "run with a version": lambda: shown(client().run(VERSION, input=INPUT)),
        "run without waiting": lambda: shown(client().run(MODEL, input=INPUT, wait=False)),
        "async_run": lambda: shown(asyncio.run(client().async_run(MODEL, input=INPUT))),
        "create, wait, get": follow,
        "create for a deployment": lambda: (
            client().deployments.predictions.create(deployment=MODEL, input=INPUT).status
        ),
        "cancel": cancel,
        "list": listed,
        "get what is unknown": unknown,
        "webhooks.validate": webhook,
        "orders": orders(lambda key: client(key).predictions.create(model=MODEL, input=INPUT).id),
    }
)
