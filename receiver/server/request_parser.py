"""httptools' parser, for a server that switches to no other protocol."""

from typing import Protocol

import httptools


class Connection(Protocol):
    """What receives the parser's callbacks, and keeps of a request's head what it was given.

    For a request that `should_upgrade`, it must ignore `on_headers_complete` and
    `on_message_complete`: the same request follows as one without an `Upgrade`.
    """

    url: bytes
    headers: list[tuple[bytes, bytes]]
    parser: httptools.HttpRequestParser


class RequestParser(httptools.HttpRequestParser):
    """Ignores `Upgrade` (RFC 9110, 7.8): Java's client, for one, offers h2c with every request.

    httptools takes everything after such a head for the other protocol, and then what follows for a
    new request. So the head is parsed a second time, without the offer and with what follows.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._connection = connection

    def feed_data(self, data: bytes) -> None:  # type: ignore[override]
        try:
            super().feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            # By a new one, since this one takes nothing after a `Connection: close, Upgrade`.
            self._connection.parser = RequestParser(self._connection)
            rest = data[upgrade.args[0] :]
            self._connection.parser.feed_data(self._head_without_upgrade() + rest)

    def _head_without_upgrade(self) -> bytes:
        version = self.get_http_version().encode("ascii")
        lines = [b"%s %s HTTP/%s" % (self.get_method(), self._connection.url, version)]
        lines += [b"%s: %s" % one for one in self._connection.headers if one[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])
