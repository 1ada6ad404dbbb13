"""Responses, parsed as their bytes arrive. No I/O."""

import httptools

LONGEST_HEAD = 64 * 1024
"""Maximum number of bytes before an answer's body, interim answers included; checked after each
read, so it can be exceeded by one."""


class BadAnswer(Exception):
    """The answer is not HTTP, has an unknown transfer coding, or ended before it was complete."""


class AnswerTooLong(Exception):
    """The answer has more bytes than the limit."""


class Response:
    """One response, as far as it has arrived. What follows a complete one is ignored, except that
    it clears `keeps_alive`.

    `status` and `header` are for callers; the rest is for the `Connection`.
    """

    def __init__(self) -> None:
        self.status = 0
        """Three digits, never 1xx; 0 until the head is complete."""
        self.body = bytearray()
        """Bytes that have arrived and were not taken yet."""
        self.is_complete = False
        """Whether all of it has arrived."""
        self.keeps_alive = False
        """Whether it is complete, and the server keeps the connection open."""
        self.failure: Exception | None = None
        """Why it will never be complete."""
        self._parser = httptools.HttpResponseParser(self)
        # RFC 9112, sections 2.2 and 5.2: a client accepts bare line feeds and folded lines. If we
        # refused such an answer, we would lose track of a submission that is paid for.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True, lenient_optional_cr_before_lf=True
        )
        self._fields: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        self._ends_with_connection = False

    def header(self, name: str) -> str | None:
        """The first header with this name, which is given in lower case."""
        wanted = name.encode()
        found = (value for key, value in self._fields if key.lower() == wanted)
        value = next(found, None)
        # The parser leaves white space after the value (RFC 9110, section 5.5).
        return None if value is None else value.decode("latin-1").rstrip(" \t")

    # --- called by the connection -----------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        if not self.status:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.keeps_alive = False
            self.fail(BadAnswer("the response is not HTTP"))
        if not self.status and self._head_bytes > LONGEST_HEAD:
            self.fail(AnswerTooLong(f"the response's head has more than {LONGEST_HEAD:,} bytes"))

    def end(self) -> None:
        """The server has closed the connection, or its side of it."""
        if self._ends_with_connection and self.failure is None:
            self.is_complete = True
        else:
            self.fail(BadAnswer("the response ended before it was complete"))

    def fail(self, error: Exception) -> None:
        """End it with an error, unless it is complete or has failed before."""
        if not self.is_complete and self.failure is None:
            self.failure = error

    # --- called by httptools ----------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self.keeps_alive = False
        if not self.status:
            self._fields.clear()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.status:
            self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if self.status or status < 200:
            return  # an interim answer: the real one follows
        coding = self.header("transfer-encoding")
        if coding is not None and coding.lower() != "chunked":
            self.fail(BadAnswer("it has an unknown transfer coding"))
            return
        self.status = status
        self._ends_with_connection = coding is None and self.header("content-length") is None

    def on_body(self, data: bytes) -> None:
        if not self.is_complete and self.failure is None:
            self.body += data

    def on_message_complete(self) -> None:
        if self.status and not self.is_complete and self.failure is None:
            self.is_complete = True
            self.keeps_alive = self._parser.should_keep_alive()
