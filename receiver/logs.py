"""The log: one line an event, as JSON or for a terminal, and no secret in it.

`structlog.get_logger()` gives loggers; what `structlog.contextvars` binds (the request id) stands
on every line of that context. The standard library's loggers (uvicorn, httpx) take the same way
out. Redaction is the last step before rendering, so that it sees tracebacks and foreign lines too.
"""

import asyncio
import json
import logging
import math
import re
import sys
import time
from collections.abc import Iterable, Mapping, Set
from functools import lru_cache
from typing import Literal, TextIO
from urllib.parse import quote

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

HIDDEN = "…"

_MIN_VALUE_LENGTH = 4
"""A registered value that is shorter would make every line unreadable and hides nothing."""
_MAX_DEPTH = 12

# What a secret looks like, wherever it stands; the named part stays, for whoever reads the line.
_SHAPES = re.compile(
    r"""
      (?P<key> rk_ ) [A-Za-z0-9_-]{32,}
    | (?P<signing> whsec_ ) [A-Za-z0-9+/=_-]+
    | (?P<callback> (?:/|%2f)+ webhooks (?:/|%2f)+ (?:(?!%2f)[^/\s?\#"'])+ (?:/|%2f)+ )
          [^\s?\#"'<>&]+
    | (?P<token> \b job_[0-9A-Z]{26} \. ) [A-Za-z0-9_-]{32,}
    | (?P<ticket> \b ticket (?:=|%3d) ) [^&\s"'\#]+
    | (?P<database> postgres(?:ql)? :// [^\s:/@]* : ) \S+ (?=@)
    | (?P<user> :// [^\s:/@]* : ) [^\s/@]+ (?=@)
    | (?P<password> \b password= ) (?: '[^']*' | [^\s&]+ )
    | (?P<header> (?: authorization | api[-_]key | cookie )
          (?: ["']? \s* [:=] \s* | ["'] \s* , \s* ) (?: b? ["'] )? )
          (?: (?: bearer | basic ) \s+ )? [^\s"',;)}\]]+
    | (?P<bearer> \b bearer \s+ ) [A-Za-z0-9._~+/=-]{16,}
    """,
    re.VERBOSE | re.IGNORECASE,
)
_SECRET_NAMES = frozenset(
    {"api-key", "apikey", "authorization", "cookie", "password", "secret", "set-cookie", "ticket"}
)
# Whatever could end the line, move the cursor or turn the direction of reading.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_values: set[str] = set()
_values_pattern: re.Pattern[str] | None = None


_access: "_AccessLog | None" = None


def redact_values(values: Iterable[str]) -> None:
    """Hide these values, in every line from now on, also where a URL has quoted them."""
    global _values_pattern  # noqa: PLW0603 - the log is one for the process, and so is this
    long_enough = [value for value in values if len(value) >= _MIN_VALUE_LENGTH]
    _values.update(long_enough)
    _values.update(quote(value, safe="") for value in long_enough)
    longest_first = sorted(_values, key=len, reverse=True)
    _values_pattern = re.compile("|".join(map(re.escape, longest_first))) if _values else None


def redact(text: str) -> str:
    """`text` with "…" for every registered value and for whatever has the shape of a secret."""
    if _values_pattern is not None:
        text = _values_pattern.sub(HIDDEN, text)
    return _SHAPES.sub(lambda match: (match[match.lastgroup or 0]) + HIDDEN, text)


def configure(
    log_format: Literal["json", "console"] | None, level: str, stream: TextIO | None = None
) -> None:
    """Send the log of the process to `stream` (stderr), from `level` (as in LOG_LEVEL) upwards.

    `log_format` None means console on a terminal and JSON off it. Can be called again.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    stream = stream or sys.stderr
    terminal = stream.isatty()
    common: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        _without_secrets,
    ]
    as_json = log_format == "json" or (log_format is None and not terminal)
    if as_json:
        out: list[Processor] = [structlog.processors.JSONRenderer()]
    else:
        # The traceback is text by then: the plain formatter says that no prettier one is expected.
        plain = structlog.dev.plain_traceback
        renderer = structlog.dev.ConsoleRenderer(colors=terminal, exception_formatter=plain)
        out = [_without_controls, renderer]

    structlog.configure(
        processors=[*common, *out],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(stream),
    )
    global _access  # noqa: PLW0603 - the log is one for the process, and so is this
    _access = _AccessLog(stream) if as_json and threshold <= logging.INFO else None
    handler = _Handler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.add_logger_name,
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *common,
                *out,
            ]
        )
    )
    _take_over_stdlib(handler, threshold)


def access(method: str, path: str, status: int, seconds: float, request_id: str) -> None:
    """Write the access log's line of one request; `path` is redacted by the caller, and
    `request_id` of characters that stand for themselves in JSON.

    The one line that is written for every request, and so the one that does not go through all of
    structlog: as JSON it looks as if it had, at a tenth of the cost. Those of one turn of the event
    loop are written together, at its end.
    """
    if _access is not None:
        _access.write(method, path, status, seconds, request_id)
    else:
        structlog.get_logger().info(
            "request", method=method, path=path, status=status, ms=round(seconds * 1_000, 1)
        )


# Methods are few, and so are the paths that come most: callbacks have one for each provider, since
# the rest of it is redacted.
_quoted = lru_cache(256)(json.dumps)


class _AccessLog:
    def __init__(self, stream: TextIO) -> None:
        self._write = stream.write
        self._lines: list[str] = []
        self._second = 0
        self._prefix = ""

    def write(self, method: str, path: str, status: int, seconds: float, request_id: str) -> None:
        second, rest = divmod(time.time_ns(), 1_000_000_000)
        if second != self._second:
            self._second = second
            self._prefix = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        if not self._lines:
            asyncio.get_running_loop().call_soon(self._flush)
        self._lines.append(
            f'{{"event": "request", "level": "info", "method": {_quoted(method)},'
            f' "path": {_quoted(path)}, "status": {status}, "ms": {seconds * 1_000:.1f},'
            f' "request_id": "{request_id}",'
            f' "timestamp": "{self._prefix}.{rest // 1_000:06d}Z"}}\n'
        )

    def _flush(self) -> None:
        lines, self._lines = self._lines, []
        self._write("".join(lines))


class _Handler(logging.StreamHandler[TextIO]):
    """Ours on the root logger, told apart from those that others (pytest) put there."""


def _take_over_stdlib(handler: _Handler, threshold: int) -> None:
    root = logging.getLogger()
    for former in [each for each in root.handlers if isinstance(each, _Handler)]:
        root.removeHandler(former)
    root.addHandler(handler)
    root.setLevel(threshold)
    # Each would say every request or statement, addresses and parameters included.
    for talkative in ("aiosqlite", "asyncio", "httpcore", "httpx"):
        logging.getLogger(talkative).setLevel(max(threshold, logging.WARNING))
    # The access log is our own: uvicorn's prints callback tokens and costs 40 % of the throughput.
    access = logging.getLogger("uvicorn.access")
    access.handlers.clear()
    access.propagate = False


def _without_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {name: _plain(value, name) for name, value in event.items()}


def _plain(value: object, name: str = "", depth: int = 0) -> object:
    """`value` as what JSON can hold, redacted; `name` is what it is called one level up."""
    if name.lower().replace("_", "-") in _SECRET_NAMES and value is not None:
        return HIDDEN
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else repr(value)
        case str():
            return redact(value)
        case Mapping() if depth < _MAX_DEPTH:
            return {redact(str(k)): _plain(v, str(k), depth + 1) for k, v in value.items()}
        case list() | tuple() | Set() if depth < _MAX_DEPTH:
            return [_plain(member, "", depth + 1) for member in value]
        case _:
            return redact(repr(value))


def _without_controls(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Keep a line for a terminal one line; a traceback's own are set in, below their line."""
    told = {name: _escaped(value) for name, value in event.items()}
    for name in ("exception", "stack"):
        if isinstance(text := event.get(name), str):
            told[name] = "\n".join("    " + _escape(line) for line in text.split("\n"))
    return told


def _escaped(value: object) -> object:
    match value:
        case str():
            return _escape(value)
        case dict() | list():
            return _escape(repr(value))
        case _:
            return value


def _escape(text: str) -> str:
    return _CONTROLS.sub(lambda match: ascii(match[0])[1:-1], text)
