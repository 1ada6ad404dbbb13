"""One attempt to download a file, from hosts that are slow, broken, forbidden, or send false
headers."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from receiver.archive import download
from receiver.archive.download import LOOPBACK, MAX_READS, Download, Downloader, DownloadFailed
from receiver.net.resolver import Resolver
from receiver.webhooks.network import CheckedNetwork
from receiver.webhooks.targets import IPNetwork
from tests.archive.file_host import Answer, FileHost, file_host, file_of
from tests.providers.faulty_server import faulty_server, stall_after

FILE = file_of(3_000_000)


@pytest.fixture
async def host() -> AsyncIterator[FileHost]:
    async with file_host() as host:
        yield host


async def load(
    link: str,
    allow_http: bool = True,
    allow_nets: Sequence[IPNetwork] = LOOPBACK,
    most_bytes: int = 10**7,
    simulators: Sequence[str] = (),
) -> tuple[bytes, str]:
    """Download a file; returns its bytes and its type."""
    network = CheckedNetwork(Resolver().resolve, allow_http, allow_nets)
    async with Download(Downloader(network, most_bytes, simulators), link) as file:
        came = b"".join([piece async for piece in file.content()])
        assert file.size == len(came)
        assert file.sha256 == hashlib.sha256(came).hexdigest()
        return came, file.content_type


async def failure(link: str, **given: Any) -> tuple[str, bool]:
    with pytest.raises(DownloadFailed) as failed:
        await load(link, **given)
    return failed.value.outcome.error, failed.value.outcome.final


async def failure_code(link: str, **given: Any) -> tuple[str, bool]:
    """The failure without what follows its code."""
    error, final = await failure(link, **given)
    return error.partition(":")[0], final


@pytest.mark.parametrize(
    ("written", "asked"),
    [("/a b.mp4", "/a%20b.mp4"), ("/ä.mp4#part", "/%C3%A4.mp4"), ("/a%20b?c=/d", "/a%20b?c=/d")],
)
async def test_a_file_comes_whole_with_its_type(host: FileHost, written: str, asked: str) -> None:
    link = host.link(asked, Answer(FILE, headers={"Content-Type": "video/mp4; x=y"}))
    assert await load(link.replace(asked, written)) == (FILE, "video/mp4")


@pytest.mark.parametrize("length", [True, False])
async def test_a_download_that_breaks_off_fails_and_is_begun_anew(
    host: FileHost, length: bool
) -> None:
    link = host.link("/f", Answer(FILE, length=length, cuts=[500_000]))
    assert await failure_code(link) == ("bad_answer", False)
    assert (await load(link))[0] == FILE


async def test_chunks_of_a_byte_are_taken_up_to_a_limit(host: FileHost) -> None:
    chunked = {"Transfer-Encoding": "chunked"}
    for size in (MAX_READS, MAX_READS + 1):
        body = b"1\r\nx\r\n" * size + b"0\r\n\r\n"
        host.link(f"/{size}", Answer(body, length=False, headers=chunked))
    link = host.link("/", Answer())
    assert (await load(f"{link}{MAX_READS}"))[0] == b"x" * MAX_READS
    outcome = await failure(f"{link}{MAX_READS + 1}")
    assert outcome == ("bad_answer: it comes in chunks of a few bytes", False)


async def test_redirects_are_followed_five_times(host: FileHost) -> None:
    for n in range(5):
        host.link(f"/{n}", Answer(status=307, headers={"Location": f"/{n + 1}"}))
    host.link("/5", Answer(status=302, headers={"Location": "/\u00fc.mp4"}))
    link = host.link("/%C3%BC.mp4", Answer(FILE))
    assert (await load(link.replace("/%C3%BC.mp4", "/1")))[0] == FILE
    assert await failure(link.replace("/%C3%BC.mp4", "/0")) == ("too_many_redirects", False)


@pytest.mark.parametrize(
    "target", ["http://10.0.0.1/x", "http://[::ffff:169.254.169.254]/", "file:///etc/passwd"]
)
async def test_each_hop_is_checked(host: FileHost, target: str) -> None:
    link = host.link("/r", Answer(status=302, headers={"Location": target}))
    assert await failure_code(link) == ("refused_target", True)
    assert len(host.asked) == 1


async def test_a_forbidden_address_is_not_called(host: FileHost) -> None:
    link = host.link("/f", Answer(FILE))
    refusals: list[dict[str, Any]] = [{"allow_nets": ()}, {"allow_http": False}]
    for given in refusals:
        assert await failure_code(link, **given) == ("refused_target", True)
    named, asked = link.replace("127.0.0.1", "m\u00fcnchen.example"), []

    async def resolve(name: str) -> Any:
        asked.append(name)
        return await Resolver().resolve("localhost")

    strict = Downloader(CheckedNetwork(resolve, allow_http=True), 10)
    with pytest.raises(DownloadFailed) as failed:
        async with Download(strict, named):
            pass
    assert failed.value.outcome.error.startswith("refused_target: ")
    assert not failed.value.outcome.final, "a name may lead elsewhere the next time"
    assert asked == ["xn--mnchen-3ya.example"]
    assert not host.asked


@pytest.mark.parametrize("link", ["http://[x/#y", "http://ü..example/", "http://ü@127.0.0.1/"])
async def test_a_link_that_is_none_is_refused(link: str) -> None:
    assert await failure_code(link) == ("refused_target", True)


async def test_the_embedded_sandbox_may_be_called(host: FileHost) -> None:
    link = host.link("/f", Answer(FILE))
    strict: dict[str, Any] = {"allow_nets": (), "allow_http": False}
    origin = f"http://127.0.0.1:{host.port}"
    assert (await load(link, simulators=["http://127.0.0.1:1", origin], **strict))[0] == FILE
    for other in (origin[:-1], origin + "0"):
        assert (await failure(link, simulators=[other], **strict))[1]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(status=404), ("bad_status: 404", True)),
        (Answer(status=410), ("bad_status: 410", True)),
        (Answer(status=403), ("bad_status: 403", False)),
        (Answer(status=503), ("bad_status: 503", False)),
        (Answer(status=302), ("bad_status: 302", False)),
        (Answer(FILE, headers={"Content-Length": "3000001"}), ("bad_answer", False)),
        (Answer(FILE, headers={"Content-Length": "x"}), ("bad_answer", False)),
        (Answer(FILE, headers={"Long": "x" * 400_000}), ("bad_answer", False)),
        (
            Answer(FILE, headers={"Content-Encoding": "gzip"}),
            ("bad_answer: it has a Content-Encoding, which was not requested", False),
        ),
        (Answer(FILE, pause=1.0), ("timeout", False)),
    ],
)
async def test_each_failure_has_a_code(
    host: FileHost, answer: Answer, expected: tuple[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "IDLE_SECONDS", 0.5)
    assert await failure(host.link("/f", answer)) == expected


@pytest.mark.parametrize("length", [True, False])
async def test_a_file_that_is_too_large_is_refused(host: FileHost, length: bool) -> None:
    link = host.link("/f", Answer(FILE, length=length))
    assert await failure_code(link, most_bytes=2_999_999) == ("too_large", True)
    assert (await load(link, most_bytes=3_000_000))[0]


async def test_a_digest_that_is_given_is_checked(host: FileHost) -> None:
    digest = base64.b64encode(hashlib.sha256(FILE).digest()).decode()
    headers = {"Repr-Digest": f"md5=:x:, sha-256=:{digest}:"}
    assert (await load(host.link("/a", Answer(FILE, headers=headers))))[0] == FILE
    other = host.link("/b", Answer(FILE[1:] + b"x", headers=headers))
    assert await failure_code(other) == ("bad_digest", False)


async def test_a_download_that_is_cancelled_before_its_head_came_leaves_no_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(download, "IDLE_SECONDS", 30.0)
    async with faulty_server(stall_after(b"")) as server:
        loading = asyncio.create_task(load(f"http://127.0.0.1:{server.port}/f"))
        await server.received.wait()
        loading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await loading
        await server.empty.wait()


async def test_a_host_that_cannot_be_reached(host: FileHost) -> None:
    assert await failure("http://127.0.0.1:1/x") == ("connect_failed", False)
    assert await failure("http://nowhere.invalid/x") == ("no_address", False)
