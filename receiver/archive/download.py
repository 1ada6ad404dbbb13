"""One attempt to download a file from an untrusted link.

The link comes from a provider, and its host may redirect. So each hop is checked like a webhook
address (`receiver.webhooks.targets`), and redirects, bytes and idle time are limited. The caller
limits the total time. An attempt that breaks off is begun anew.
"""

import asyncio
import hashlib
import re
from base64 import b64decode
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing, contextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_network
from urllib.parse import urljoin, urlsplit

import httpx

from receiver.archive.contract import type_of
from receiver.domain.observations import FileFailed
from receiver.domain.results import LONGEST_LINK
from receiver.net.transport import open_transport
from receiver.webhooks.network import CheckedNetwork, failure_code, host_header
from receiver.webhooks.targets import TargetRefused

PIECE = 1024 * 1024
"""Approximate number of bytes hashed and written at a time."""
MAX_READS = 16 * 1024
"""Maximum number of reads for a piece: a host could send it in chunks of a byte, each of which
takes the event loop as long as a whole one."""
READS_AT_ONCE = 64
"""After so many, other tasks have their turn."""
MAX_REDIRECTS = 5
IDLE_SECONDS = 20.0

_HEADERS = {
    "Connection": "close",
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "User-Agent": "job-receiver",
}
_SHA256 = re.compile(r"sha-256=:([A-Za-z0-9+/]{43}=):")
LOOPBACK = [ip_network("127.0.0.0/8"), ip_network("::1")]


class DownloadFailed(Exception):
    """The attempt failed; `outcome` says why, and whether to retry."""

    def __init__(self, error: str, *, final: bool = False) -> None:
        super().__init__(error)
        self.outcome = FileFailed(error, final)


@dataclass(frozen=True, slots=True)
class Downloader:
    """Network and limits of all downloads. The caller limits how many run at once."""

    network: CheckedNetwork
    most_bytes: int
    """Of a file."""
    simulators: Sequence[str] = ()
    """Origins of embedded providers; their links lead to this machine."""
    users_bytes: int | None = None
    """Of all stored files of a user; None for no limit."""

    def network_of(self, url: str) -> CheckedNetwork:
        """The network for a link: a sandbox's links may lead to this machine."""
        if any(url.startswith(f"{origin}/") for origin in self.simulators):
            return replace(self.network, allow_http=True, allow_nets=LOOPBACK)
        return self.network


class Download:
    """An async context manager: `content_type` is known once it is entered, then read `content`."""

    content_type: str
    """The file's media type."""

    def __init__(self, downloader: Downloader, link: str) -> None:
        self.size = 0
        """Bytes received so far."""
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
                self._read_head(await self._get())
        except BaseException:
            await self._closing.aclose()
            raise
        return self

    def _read_head(self, response: httpx.Response) -> None:
        header, status = response.headers.get, response.status_code
        if status != 200:
            raise DownloadFailed(f"bad_status: {status}", final=status in (404, 410))
        # Codings are case-insensitive (RFC 9110, 8.4.1).
        if header("content-encoding", "identity").lower() != "identity":
            raise DownloadFailed("bad_answer: it has a Content-Encoding, which was not requested")
        self.content_type = type_of(header("content-type"), urlsplit(self._link).path)
        self._check_size(int(header("content-length", "0")))
        self._digest = header("repr-digest", "")
        """As in RFC 9530; empty if there is none."""
        self._received = response.aiter_raw()

    async def __aexit__(self, *_: object) -> None:
        await self._closing.aclose()

    async def content(self) -> AsyncIterator[bytes]:
        """The content in pieces of about 1 MiB. Raises `DownloadFailed`, also at the end if the
        announced length or the last chunk is not reached, or the announced digest differs."""
        with _translate_errors():
            while piece := await self._piece():
                await asyncio.to_thread(self._sha256.update, piece)
                yield piece
            self._check_whole()

    async def _piece(self) -> bytes:
        """The next piece; empty at the end."""
        piece, reads = bytearray(), 0
        while len(piece) < PIECE and (data := await anext(self._received, b"")):
            piece += data
            reads += 1
            if reads > MAX_READS:
                raise DownloadFailed("bad_answer: it comes in chunks of a few bytes")
            if reads % READS_AT_ONCE == 0:
                await asyncio.sleep(0)
            self.size += len(data)
            self._check_size(self.size)
        return bytes(piece)

    # --- HTTP -----------------------------------------------------------------------------------

    async def _get(self) -> httpx.Response:
        """The response after redirects."""
        url = _encoded(self._link)
        for _ in range(MAX_REDIRECTS + 1):
            await self._closing.aclose()  # the previous connection
            response = await self._ask(url)
            if not response.has_redirect_location:
                return response
            url = _encoded(urljoin(url, response.headers["location"]))
        raise DownloadFailed("too_many_redirects")

    async def _ask(self, url: str) -> httpx.Response:
        network = self._downloader.network_of(url)
        try:
            network.check(url, LONGEST_LINK)
        except TargetRefused as refusal:
            raise DownloadFailed(failure_code(refusal), final=True) from None
        timeouts = dict.fromkeys(("connect", "read", "write"), IDLE_SECONDS)
        headers = {"Host": host_header(url), **_HEADERS}
        request = httpx.Request("GET", url, headers=headers, extensions={"timeout": timeouts})
        opened = open_transport(network.backend(), network.tls)
        transport = await self._closing.enter_async_context(opened)
        async with asyncio.timeout(IDLE_SECONDS):
            response = await transport.handle_async_request(request)
        await self._closing.enter_async_context(aclosing(response))
        return response

    def _check_size(self, size: int) -> None:
        if size > self._downloader.most_bytes:
            most = f"it has more than {self._downloader.most_bytes:,} bytes"
            raise DownloadFailed(f"too_large: {most}", final=True)

    def _check_whole(self) -> None:
        # HTTP itself checks the length.
        announced = _SHA256.search(self._digest)
        if announced and b64decode(announced[1]) != self._sha256.digest():
            raise DownloadFailed("bad_digest: it does not match its Repr-Digest")


def _encoded(link: str) -> str:
    """A link as it is requested: its host in the `xn--` form, the rest percent-encoded, without the
    fragment."""
    try:
        return str(httpx.URL(link).copy_with(fragment=None))
    except httpx.InvalidURL:
        return link  # the check will refuse it


@contextmanager
def _translate_errors() -> Iterator[None]:
    """Turn any error into `DownloadFailed`: a hostile host may make the HTTP stack raise any."""
    try:
        yield
    except DownloadFailed:
        raise
    except Exception as error:
        raise DownloadFailed(failure_code(error)) from error
