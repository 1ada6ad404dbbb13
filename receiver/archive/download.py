"""One attempt to download a file from an untrusted link.

The link comes from a provider, and its host may redirect. So each hop is checked like a webhook
address (`receiver.webhooks.targets`), and redirects, bytes and idle time are limited. The caller
limits the total time. If a connection is lost, the download is resumed with a range request,
provided that the host sent a validator and the connection brought at least one byte. Otherwise the
attempt fails, and the next one starts from the beginning.
"""

import asyncio
import hashlib
import re
from base64 import b64decode
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing, contextmanager, suppress
from dataclasses import dataclass, replace
from ipaddress import ip_network
from urllib.parse import quote, urldefrag, urljoin, urlsplit

import httpcore
import httpx

from receiver.archive.contract import type_of
from receiver.clock import Clock
from receiver.domain.archive import LONGEST_LINK
from receiver.domain.observations import FileFailed
from receiver.net.backend import AnswerTooLong
from receiver.net.transport import open_transport
from receiver.webhooks.network import CheckedNetwork, failure_code, host_header
from receiver.webhooks.targets import LONGEST_NAME, TargetRefused

PIECE = 1024 * 1024
"""Approximate number of bytes hashed and written at a time."""
PIECE_SECONDS = 120.0
"""Time limit for a piece: a slower host would hold up other downloads. It leaves time to resume
after a stall of `IDLE_SECONDS`."""
MAX_REDIRECTS = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})
GONE = frozenset({404, 410})
LONGEST_HEAD = 64 * 1024
CONNECT_SECONDS = 10.0
IDLE_SECONDS = 60.0
RESUME_AFTER = 0.5

_HEADERS = (
    ("Connection", "close"),
    ("Accept", "*/*"),
    ("Accept-Encoding", "identity"),
    ("User-Agent", "job-receiver"),
)
_PART = re.compile(r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18}|\*)")
"""A Content-Range: the first byte, and the length of the whole file."""
_SHA256 = re.compile(r"sha-256=:([A-Za-z0-9+/]{43}=):")
_LOST = (httpcore.NetworkError, httpcore.ReadTimeout, httpcore.RemoteProtocolError)
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1"))
_RESERVED = "%/:=&?~#+!$,;'@()*[]"
"""Characters of a link that are left as they are. Spaces and non-ASCII characters, for example, are
percent-encoded."""


class DownloadFailed(Exception):
    """The attempt failed; `outcome` says why, and whether to retry."""

    def __init__(self, error: str, *, final: bool = False) -> None:
        super().__init__(error)
        self.outcome = FileFailed(error, final)


@dataclass(frozen=True, slots=True)
class Downloader:
    """Network, clock and limits of all downloads. The caller limits how many run at once."""

    network: CheckedNetwork
    clock: Clock
    most_bytes: int
    sandboxes: Sequence[str] = ()
    """Origins of embedded providers; their links lead to this machine."""

    def network_of(self, url: str) -> CheckedNetwork:
        """The network for a link: a sandbox's links may lead to this machine."""
        if any(url.startswith(f"{origin}/") for origin in self.sandboxes):
            return replace(self.network, allow_http=True, allow_nets=LOOPBACK)
        return self.network


class Download:
    """An async context manager: `content_type` is known once it is entered, then read `content`."""

    content_type: str
    """The file's media type."""
    _received: AsyncIterator[bytes]
    """The body of the latest response."""

    def __init__(self, downloader: Downloader, link: str) -> None:
        self.size = 0
        """Bytes received so far."""
        self._size_at_connect = 0
        """`size` when the latest connection was made."""
        self._downloader = downloader
        self._link = link
        self._sha256 = hashlib.sha256()
        self._closing = AsyncExitStack()
        """Closes the latest connection."""

    @property
    def sha256(self) -> str:
        """Of the content that `content` has returned so far, hexadecimal."""
        return self._sha256.hexdigest()

    async def __aenter__(self) -> "Download":
        """Send the request and read the response head. Raises `DownloadFailed`."""
        try:
            with _translate_errors():
                self._read_head(await self._get(()))
        except BaseException:
            await self._closing.aclose()
            raise
        return self

    def _read_head(self, response: httpx.Response) -> None:
        """Read the properties of the file from the first response."""
        header, status = response.headers.get, response.status_code
        if status != 200:
            raise DownloadFailed(f"bad_status: {status}", final=status in GONE)
        if not _is_plain(response):
            raise DownloadFailed("bad_answer: it has a Content-Encoding, which was not requested")
        self._first = response
        length, tag = header("content-length"), header("etag") or ""
        self.content_type = type_of(header("content-type"), urlsplit(self._link).path)
        self._length = None if length is None else int(length)
        self._digest = header("repr-digest") or ""
        """As in RFC 9530; empty if there is none."""
        self._validator = tag if tag.startswith('"') else header("last-modified") or ""
        """The validator for resuming: a strong ETag, or Last-Modified; empty if there is none."""
        self._check_size(self._length or 0)

    async def __aexit__(self, *_: object) -> None:
        await self._closing.aclose()

    async def content(self) -> AsyncIterator[bytes]:
        """The content in pieces of about 1 MiB. Raises `DownloadFailed`, also at the end if the
        length or digest differs from the announced one."""
        with _translate_errors():
            while piece := await self._piece():
                await asyncio.to_thread(self._sha256.update, piece)
                yield piece
            self._check_whole()

    async def _piece(self) -> bytes:
        """The next piece; empty at the end."""
        piece, limit = bytearray(), asyncio.timeout(PIECE_SECONDS)
        try:
            async with limit:
                while len(piece) < PIECE and (data := await self._read()):
                    piece += data
        except TimeoutError:
            if limit.expired():
                slow = f"less than 1 MiB came within {PIECE_SECONDS:.0f} s"
                raise DownloadFailed(f"too_slow: {slow}") from None
            raise
        return bytes(piece)

    # --- HTTP -----------------------------------------------------------------------------------

    async def _get(self, headers: Sequence[tuple[str, str]]) -> httpx.Response:
        """The response after redirects."""
        url = _encoded(self._link)
        for _ in range(MAX_REDIRECTS + 1):
            await self._closing.aclose()  # the previous connection
            response = await self._ask(url, headers)
            location = response.headers.get("location")
            if response.status_code not in REDIRECTS or location is None:
                return response
            location = quote(location, safe=_RESERVED, encoding=response.headers.encoding)
            url = urldefrag(urljoin(url, location)).url
        raise DownloadFailed("too_many_redirects")

    async def _ask(self, url: str, headers: Sequence[tuple[str, str]]) -> httpx.Response:
        network = self._downloader.network_of(url)
        try:
            network.check(url, LONGEST_LINK)
        except TargetRefused as refusal:
            raise DownloadFailed(failure_code(refusal), final=True) from None
        # Chunked encoding needs more bytes than the file has.
        longest = 2 * self._downloader.most_bytes + LONGEST_HEAD
        timeouts = {"connect": CONNECT_SECONDS, "read": IDLE_SECONDS, "write": IDLE_SECONDS}
        sent = [("Host", host_header(url)), *_HEADERS, *headers]
        request = httpx.Request("GET", url, headers=sent, extensions={"timeout": timeouts})
        opened = open_transport(network.backend(longest), network.tls)
        transport = await self._closing.enter_async_context(opened)
        async with asyncio.timeout(IDLE_SECONDS):
            response = await transport.handle_async_request(request)
        await self._closing.enter_async_context(aclosing(response))
        self._received = response.aiter_raw()
        return response

    async def _read(self) -> bytes:
        """The next bytes of the file, over as many connections as needed; empty at its end."""
        while True:
            try:
                data = await anext(self._received, b"")
                self.size += len(data)
                self._check_size(self.size)
                if data or self._length in (None, self.size) or self.size == self._size_at_connect:
                    return data
            except AnswerTooLong as error:
                raise DownloadFailed("too_large", final=True) from error
            except _LOST:
                if not self._validator or self.size == self._size_at_connect:
                    raise
                await self._downloader.clock.sleep(RESUME_AFTER)
            await self._resume()

    async def _resume(self) -> None:
        rest = ("Range", f"bytes={self.size}-"), ("If-Range", self._validator)
        response = await self._get(rest)
        part = _PART.fullmatch(response.headers.get("content-range") or "")
        if response.status_code != 206 or not part or int(part[1]) != self.size:
            raise DownloadFailed("cannot_resume")
        if not (_is_plain(response) and self._is_same(response)):
            raise DownloadFailed("cannot_resume")
        self._size_at_connect = self.size
        self._read_total(part[2])
        # In a partial response too, it is the digest of the whole file (RFC 9530, section 3).
        self._digest = response.headers.get("repr-digest") or self._digest

    def _is_same(self, response: httpx.Response) -> bool:
        """Whether a part is of the same file, as its headers tell: a host may ignore If-Range."""
        name = "etag" if response.headers.get("etag") else "last-modified"
        return response.headers.get(name) in (None, self._first.headers.get(name))

    def _read_total(self, total: str) -> None:
        """Set the file's length from `total`, a number or `*`. A host may send less than the rest
        (RFC 9110, 15.3.7), so without a length the end of the file is unknown."""
        length = self._length if total == "*" else int(total)
        if length is None or self._length not in (None, length):
            raise DownloadFailed("cannot_resume")
        self._length = length
        self._check_size(length)

    def _check_size(self, size: int) -> None:
        if size > self._downloader.most_bytes:
            most = f"it has more than {self._downloader.most_bytes:,} bytes"
            raise DownloadFailed(f"too_large: {most}", final=True)

    def _check_whole(self) -> None:
        if self._length not in (None, self.size):
            raise DownloadFailed(f"bad_answer: received {self.size:,} of {self._length:,} bytes")
        announced = _SHA256.search(self._digest)
        if announced and b64decode(announced[1]) != self._sha256.digest():
            raise DownloadFailed("bad_digest: it does not match its Repr-Digest")


def _is_plain(response: httpx.Response) -> bool:
    """Whether the content is not compressed. Codings are case-insensitive (RFC 9110, 8.4.1)."""
    return (response.headers.get("content-encoding") or "identity").lower() == "identity"


def _encoded(link: str) -> str:
    """A link as it is requested: its host in the `xn--` form, the rest percent-encoded, without the
    fragment."""
    with suppress(ValueError):  # the check will refuse it
        host = urlsplit(link).netloc.partition(":")[0]
        if len(host) <= LONGEST_NAME:  # longer ones take long to encode
            link = link.replace(host, host.encode("idna").decode(), 1)
    return quote(link.partition("#")[0], safe=_RESERVED)


@contextmanager
def _translate_errors() -> Iterator[None]:
    """Turn any error into `DownloadFailed`: a hostile host may make the HTTP stack raise any."""
    try:
        yield
    except DownloadFailed:
        raise
    except Exception as error:
        raise DownloadFailed(failure_code(error)) from error
