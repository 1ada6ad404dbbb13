"""Connects only to URLs and addresses that have been checked."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from receiver.http_client.connection import Connection, connect, default_tls
from receiver.http_client.resolver import IPAddress, NoAddress
from receiver.http_client.response import AnswerTooLong, BadAnswer
from receiver.webhooks.targets import (
    LONGEST_URL,
    IPNetwork,
    Target,
    TargetRefused,
    check_address,
    check_url,
)


class NotConnected(Exception):
    """No connection was made. The message is the error code, `connect_failed` or `tls_failed`."""


@dataclass(frozen=True, slots=True)
class CheckedNetwork:
    """Which URLs may be called, and how to connect to them."""

    resolve: Callable[[str], Awaitable[Sequence[IPAddress]]]
    """Returns a host's addresses, at least one, or raises `NoAddress` (see `Resolver`)."""
    allow_http: bool = False
    """See `check_url`, also for `allow_nets`."""
    allow_nets: Sequence[IPNetwork] = ()
    tls: ssl.SSLContext = field(default_factory=default_tls)

    def check(self, url: str, longest: int = LONGEST_URL) -> Target:
        """Check the text of a URL, as `check_url` does. Raises `TargetRefused`."""
        return check_url(
            url, allow_http=self.allow_http, allow_nets=self.allow_nets, longest=longest
        )

    async def connect(self, target: Target, timeout: float, longest: int) -> Connection:
        """Connect to the first of the host's addresses that answers, after a check of all of them.

        The address is pinned here instead of being put into the URL, so that TLS (SNI, the
        certificate) and `Host` still see the name.

        Args:
            timeout: seconds for connecting, and again for TLS; `resolve` has its own.
            longest: maximum number of bytes of the answer, including its head.

        Raises:
            NoAddress: the name has no address, or the lookup took too long.
            TargetRefused: one of the addresses is not allowed; then none is tried.
            NotConnected: no connection, or no TLS.
            TimeoutError: no answer in time.
        """
        addresses = await self.resolve(target.host)
        for address in addresses:
            check_address(address, self.allow_nets)
        failure = "connect_failed"
        try:
            connection = await connect(addresses, target.port, timeout, longest=longest)
            failure = "tls_failed"
            if target.scheme == "https":
                async with asyncio.timeout(timeout):
                    await connection.start_tls(self.tls, target.host)
        except TimeoutError:
            raise
        except OSError as error:
            raise NotConnected(failure) from error
        return connection


def failure_code(failure: Exception) -> str:
    """The error code for a failed attempt: `refused_target: …` (with the reason), `no_address`,
    `connect_failed`, `tls_failed`, `timeout`, `reset`, `bad_answer` (not HTTP, or not complete) or
    `answer_too_long`. `unexpected: …` names any other exception."""
    match failure:
        case TargetRefused():
            return f"refused_target: {failure}"
        case NoAddress():
            return "no_address"
        case NotConnected():
            return str(failure)
        case TimeoutError():
            return "timeout"
        case AnswerTooLong():
            return "answer_too_long"
        case BadAnswer():
            return "bad_answer"
        case OSError():
            return "reset"
        case _:
            return f"unexpected: {type(failure).__name__}"
