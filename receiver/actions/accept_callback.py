"""A callback at the door: read just far enough to answer it, and stored raw before the answer."""

import json
from collections.abc import Iterable, Mapping

from receiver.actions.core import Core
from receiver.providers.lenient_json import UnreadableJson, read_json
from store.contract import Receipt

_SECRET_HEADERS = frozenset({b"authorization", b"cookie", b"proxy-authorization"})


async def accept_callback(
    core: Core, provider: str, job_id: str, body: bytes, headers: Iterable[tuple[bytes, bytes]]
) -> Receipt:
    """Store the callback of a job's own address; on disk when this returns. The work comes later.

    Raises:
        NotFound: the job is not kept.
        StoreUnavailable: nothing was written.
    """
    content = read_object(body)
    names = None
    if content is not None:
        names = core.providers[provider].read(content).provider_request_id
    return await core.store.callbacks.receive(
        provider,
        job_id,
        body,
        _kept(headers),
        core.clock.now(),
        names,
        readable=content is not None,
    )


def read_object(body: bytes) -> Mapping[str, object] | None:
    """The JSON object in a callback's body, None where there is none."""
    try:
        content = read_json(body)
    except UnreadableJson:
        return None
    return content if isinstance(content, dict) else None


def _kept(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The headers as JSON pairs, in order, without what may be a secret of a proxy in front."""
    return json.dumps(
        [
            [name.decode("latin-1"), value.decode("latin-1")]
            for name, value in headers
            if name not in _SECRET_HEADERS
        ],
        separators=(",", ":"),
    )
