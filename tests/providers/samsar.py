"""Samsar's adapter, connected to a server that breaks HTTP."""

import ssl
from contextlib import AbstractAsyncContextManager
from typing import Any

from receiver.domain.answers import SubmitAnswer
from receiver.providers.samsar.rules import InputRules
from receiver.providers.samsar.upstream import Samsar
from receiver.upstream.api import Account
from store.rows import to_json
from tests.providers.conformance.subjects import closing
from tests.providers.faulty_server import Behaviour, FaultyServer, faulty_server
from tests.support.manual_clock import ManualClock

INPUT = {
    "prompt": "A heron",
    "image_model": "IMAGEN3",
    "video_model": "LUMA",
    "duration": 30,
    "later_member": {"kept": [1, None]},
}
CALLBACK = "https://receiver.example/webhooks/samsar/token"
NOW = 1_767_323_045_000
ACCEPTED = b'{"request_id": "up-1"}'


def samsar(base_url: str, **values: Any) -> AbstractAsyncContextManager[Samsar]:
    auth_header = values.pop("auth_header", "API-KEY")
    values = {"key": "key-1", "submit_timeout": 10.0, **values}
    account = Account("samsar", base_url, clock=ManualClock(NOW), **values)
    rules = InputRules(["IMAGEN3"], ["LUMA"])
    return closing(Samsar(account, rules, auth_header=auth_header))


async def submit_to(
    behaviour: Behaviour, certificate: ssl.SSLContext | None = None, **values: Any
) -> tuple[SubmitAnswer, FaultyServer]:
    async with (
        faulty_server(behaviour, certificate) as server,
        samsar(server.url, **values) as provider,
    ):
        said = await provider.submit("create_movie", to_json(INPUT), CALLBACK, "job_1")
    return said, server
