"""Continues with a request as if it had no `Upgrade` header (RFC 9110, 7.8)."""

from typing import Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_FRAMING: Final = frozenset({b"connection", b"content-length", b"transfer-encoding"})
"""The headers that say how the body ends, and whether the connection stays open."""


def ignore_upgrade(connection: HttpToolsProtocol) -> None:
    """Replace the parser of a connection that has just parsed the head of such a request.

    The parser treats the body as the other protocol: it ends the message after the head, and would
    read a new request there. So a new parser takes over. It is fed a short head with the headers in
    `_FRAMING`, which the connection has to ignore: the request has one already.
    """
    head = [b"POST / HTTP/%s" % connection.parser.get_http_version().encode("ascii")]
    headers = connection.scope["headers"]
    head += [b"%s: %s" % header for header in headers if header[0] in _FRAMING]
    connection.parser = httptools.HttpRequestParser(connection)
    # As uvicorn's is.
    connection.parser.set_dangerous_leniencies(lenient_data_after_close=True)
    connection.parser.feed_data(b"\r\n".join([*head, b"", b""]))
