"""Answers of several megabytes: others are served while one is read."""

import threading
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from receiver.json_text import parse_answer
from receiver.providers.calls import LARGE
from receiver.providers.contract import UpstreamJob
from receiver.providers.parsing import clean_and_redact
from tests.providers.conformance.subjects import Subject, each_subject, opened
from tests.providers.faulty_server import answer, faulty_server


def noting(threads: list[int], read: Callable[..., Any]) -> Callable[..., Any]:
    """A wrapper that notes the threads in which it is called."""

    def note_and_read(*given: Any) -> Any:
        threads.append(threading.get_ident())
        return read(*given)

    return note_and_read


@each_subject()
async def test_a_large_refusal_is_read_beside_the_event_loop(subject: Subject) -> None:
    threads: list[int] = []
    large = b'{"detail": "no"}'.ljust(LARGE + 1)
    async with faulty_server(answer(422, large)) as server, opened(subject, server.url) as provider:
        with patch("receiver.providers.api.clean_and_redact", noting(threads, clean_and_redact)):
            await provider.submit(subject.good_kinds[-1], {}, "https://receiver.example/")
    assert len(threads) == 1
    assert threading.get_ident() not in threads


@each_subject()
async def test_a_large_answer_is_read_beside_the_event_loop(subject: Subject) -> None:
    threads: list[int] = []
    large = b'{"status": "unheard of"}'.ljust(LARGE + 1)
    async with faulty_server(answer(200, large)) as server, opened(subject, server.url) as provider:
        with (
            patch("receiver.providers.calls.parse_answer", noting(threads, parse_answer)),
            patch.object(provider, "read", noting(threads, provider.read)),
        ):
            await provider.status(UpstreamJob("up-1", subject.good_kinds[-1], {}))
    assert len(threads) == 2
    assert threading.get_ident() not in threads
