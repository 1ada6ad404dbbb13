"""A callback at the door: read just far enough to answer it, and stored raw before the answer."""

from collections.abc import Awaitable, Iterable, Mapping

from receiver.actions.core import Core
from receiver.json_text import UnreadableJson, decode, parse
from store.contract import Receipt

_SECRET_HEADERS = frozenset({b"authorization", b"cookie", b"proxy-authorization"})


def accept_callback(
    core: Core, provider: str, job_id: str, body: bytes, headers: Iterable[tuple[bytes, bytes]]
) -> Awaitable[Receipt]:
    """Store the callback of a job's own address; on disk with the receipt. The work comes later.

    Raises:
        NotFound: the job is not kept.
        StoreUnavailable: nothing was written.
    """
    content = read_object(body)
    names = None if content is None else core.providers[provider].read_id(content)
    return core.store.callbacks.receive(
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
        # What it says is cleaned where it is kept, when it is applied.
        content = parse(decode(body))
    except UnreadableJson:
        return None
    return content if isinstance(content, dict) else None


def _kept(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The headers as they came, a line each, without what may be a secret of a proxy in front."""
    return b"\n".join(
        [b"%s: %s" % header for header in headers if header[0] not in _SECRET_HEADERS]
    ).decode("latin-1")
