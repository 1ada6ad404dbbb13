"""Calls URLs that users or providers have chosen, at checked addresses only."""

import ssl
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpcore
import httpx

from receiver.net.backend import AnswerTooLong, Backend, NoAddress, Resolve, TlsFailed
from receiver.net.resolver import IPAddress
from receiver.net.transport import default_tls
from receiver.webhooks.targets import (
    LONGEST_URL,
    IPNetwork,
    TargetRefused,
    check_address,
    check_url,
)


@dataclass(frozen=True, slots=True)
class CheckedNetwork:
    """Which URLs may be called, and how to connect to them."""

    resolve: Resolve
    allow_http: bool = False
    """See `check_url`, also for `allow_nets`."""
    allow_nets: Sequence[IPNetwork] = ()
    tls: ssl.SSLContext = field(default_factory=default_tls)
    tcp: httpcore.AsyncNetworkBackend | None = None
    """See `Backend`."""

    def check(self, url: str, longest: int = LONGEST_URL) -> None:
        """Check the text of a URL, as `check_url` does. Raises `TargetRefused`."""
        check_url(url, allow_http=self.allow_http, allow_nets=self.allow_nets, longest=longest)

    def backend(self, longest: int = sys.maxsize) -> Backend:
        """A backend for one answer of at most `longest` bytes, head included. It raises
        `TargetRefused` if one of the host's addresses is not allowed."""

        def check(address: IPAddress) -> None:
            check_address(address, self.allow_nets)

        return Backend(self.resolve, check, longest=longest, tcp=self.tcp)


def host_header(url: str) -> str:
    """The value of `Host` for a URL. Without one, httpx would decode a name in `xn--` form, and
    refuse those that IDNA 2008 does not allow, such as emoji, although they are in the DNS."""
    return httpx.URL(url).netloc.decode("ascii")


def failure_code(failure: Exception) -> str:
    """The error code for a failed attempt: `refused_target: …` (with the reason), `no_address`,
    `connect_failed`, `tls_failed`, `timeout`, `reset`, `bad_answer` (not HTTP, or not complete) or
    `answer_too_long`. `unexpected: …` names any other exception."""
    match failure:
        case TargetRefused():
            return f"refused_target: {failure}"
        case NoAddress():
            return "no_address"
        case TlsFailed():
            return "tls_failed"
        case httpcore.ConnectError():
            return "connect_failed"
        case TimeoutError() | httpcore.TimeoutException():
            return "timeout"
        case AnswerTooLong():
            return "answer_too_long"
        case httpcore.RemoteProtocolError():
            return "bad_answer"
        case httpcore.NetworkError():
            return "reset"
        case _:
            return f"unexpected: {type(failure).__name__}"
