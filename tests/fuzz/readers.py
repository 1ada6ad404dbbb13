"""The fuzz targets: each reader parses bytes from outside, and fails if the code raises an
undocumented exception or returns a value that cannot be stored or read again. Also each reader's
first inputs: the corpus that fuzzing found worth keeping, and examples."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from receiver.http_api import queries, tickets
from receiver.signed_text import Purpose
from tests.fuzz import from_clients, from_providers
from tests.fuzz.from_clients import JOB_ID, SIGNER
from tests.fuzz.from_providers import KINDS, MOVIE, NOW, SECRET

CORPUS = Path(__file__).with_name("corpus")
"""One small JSON file for each reader; each input is Latin-1 text."""
MAX_INPUTS, MAX_INPUT_BYTES = 100, 200
"""The most inputs in a file, and the most bytes in an input."""
REST = {
    "webhookUrl": "https://a.example/hooks",
    "webhookEvents": ["COMPLETED", "progress"],
    "metadata": {"order": "1"},
}

READERS: dict[str, Callable[[bytes], None]] = {
    reader.__name__: reader
    for reader in (
        from_clients.body,
        from_providers.callback,
        from_providers.answer,
        from_providers.signature,
        from_clients.headers,
        from_clients.signed,
        from_clients.address,
        from_clients.query,
        from_clients.submitted,
        from_providers.results,
        from_providers.keys,
    )
}

EXAMPLES: dict[str, list[bytes]] = {
    "query": [
        b"status=PENDING&kind=create_movie&provider=fal&q=a&limit=20&metadata.a=b",
        b"created_after=2026-01-02T03:04:05.678Z&created_before=2026-01-02T03:04:05+14:00",
        b"n=2",
        b"state=exhausted&request_id=job_1&host=[::1]:443",
        b"host=a.example:8080",
    ],
    "submitted": [
        json.dumps({"kind": kind, "provider": provider.name, "input": MOVIE} | REST).encode()
        for provider, kind in KINDS.items()
    ],
    "results": [
        b'video/mp4; a=b\n{"videoUrl":"https://a.example/a.mp4","b":["http://b.example/"]}',
        b'application/octet-stream\n{"a":' + json.dumps(9 * [["some text", 1.5]]).encode() + b"}",
    ],
    "keys": [json.dumps({"keys": [{"crv": "Ed25519", "x": 43 * "A"}]}).encode(), SECRET.encode()],
    "signed": [
        SIGNER.sign(Purpose.CALLBACK, f"samsar/{JOB_ID}").encode(),
        tickets.issue(SIGNER, tickets.Ticket(1, "ab", JOB_ID, NOW + 1)).encode(),
        queries.write_cursor(SIGNER, "jobs", 1, JOB_ID).encode(),
    ],
}
"""Inputs besides the corpus: those that need a key, and long ones."""


def first_inputs(reader: str) -> list[bytes]:
    """A reader's first inputs."""
    return [*_read_corpus(reader), *EXAMPLES.get(reader, [])]


def add_to_corpus(reader: str, inputs: Iterable[bytes]) -> None:
    """Keep the shortest of these and the earlier inputs, in a fixed order."""
    all_inputs = {*_read_corpus(reader), *inputs}
    short = sorted((e for e in all_inputs if len(e) <= MAX_INPUT_BYTES), key=lambda e: (len(e), e))
    texts = [each.decode("latin-1") for each in short[:MAX_INPUTS]]
    _file(reader).write_text(json.dumps(texts, indent=0) + "\n")


def _read_corpus(reader: str) -> list[bytes]:
    return [text.encode("latin-1") for text in json.loads(_file(reader).read_text())]


def _file(reader: str) -> Path:
    return CORPUS / f"{reader}.json"
