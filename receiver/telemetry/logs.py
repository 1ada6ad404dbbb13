"""Logging: one line per event, as JSON or for a terminal, without secrets.

`structlog.get_logger()` returns loggers; values bound with `structlog.contextvars` (the request id)
are on every line of that context. The standard library's loggers (uvicorn, httpx) use the same
output. Redaction comes after every step that adds foreign text, so that it covers tracebacks and
other libraries' lines too.
"""

import logging
import re
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Literal, TextIO, TypeAlias, cast
from urllib.parse import quote

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

Format: TypeAlias = Literal["json", "console"] | None

HIDDEN = "…"

LONGEST = 8 * 1024
"""Maximum length of a text in characters; of a longer one only the beginning and end are logged."""
_CUT_MARGIN = 1024
"""Extra characters left out on each side of such a cut, because a secret that is cut through is no
longer recognised."""

# What secrets look like; the named group stays visible for readers of the log.
#
# The text may be hostile and the event loop waits, so matching must take linear time. All runs are
# possessive (`++`: no backtracking), and no match can start inside another one that fails: each
# start has a character that the run before it does not match. (Only `rk_` has not, but a run after
# it that fails is shorter than 32.)
_SHAPES = re.compile(
    r"""
      (?P<key> rk_ ) [A-Za-z0-9_-]{32,}+
    | (?P<signing> whsec_ ) [A-Za-z0-9+/=_-]++
    | (?P<callback> (?:/|%2f) webhooks (?:/|%2f)++ (?:(?!%2f)[^/\s?\#"'])++ (?:/|%2f) )
          [^\s?\#"'<>&]++
    | (?P<token> \b job_[0-9A-Z]{26} \. ) [A-Za-z0-9_-]{32,}+
    | (?P<ticket> \b ticket (?:=|%3d) ) [^&\s"'\#]++
    | (?P<user> :// [^\s:/@]*+ : ) [^\s/@]++ (?=@)
    | (?P<password> \b password= ) (?: '[^']*+' | [^\s&]++ )
    | (?P<header> (?: authorization | api[-_]key | cookie )
          (?: ["']? \s*+ [:=] \s*+ | ["'] \s*+ , \s*+ ) (?: b? ["'] )? )
          (?: (?: bearer | basic ) \s++ )? [^\s"',;)}\]]++
    | (?P<bearer> \b bearer \s++ ) [A-Za-z0-9._~+/=-]{16,}+
    """,
    re.VERBOSE | re.IGNORECASE,
)
# A database password may contain any of `:/@`, so it ends at the last @ of its word. A pattern that
# searches for that @ would rescan a word without one for each URL in it.
_DATABASE = re.compile(r"(?P<before>postgres(?:ql)?://[^\s:/@]*+:)(?P<rest>\S++)", re.IGNORECASE)
# Characters that could end the line, move the cursor or change the text direction, and surrogates,
# which cannot be encoded.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_values: set[str] = set()
_values_pattern: re.Pattern[str] | None = None


def redact_values(values: Iterable[str]) -> None:
    """Redact these values in every line from now on, also in URL-quoted form."""
    global _values_pattern  # noqa: PLW0603 - one log per process
    for value in values:
        if len(value) > 3:  # a shorter one protects nothing, and would hide parts of every line
            _values.update((value, quote(value, safe="")))
    longest_first = sorted(_values, key=len, reverse=True)
    _values_pattern = re.compile("|".join(map(re.escape, longest_first))) if _values else None


def redact(text: str) -> str:
    """Replace every registered value, and everything that looks like a secret, by "…".

    In a text over `LONGEST` characters, the middle is replaced by a note.
    """
    if len(text) <= LONGEST:
        return _hide(text)
    half = LONGEST // 2
    head, tail = _hide(text[:half])[:-_CUT_MARGIN], _hide(text[-half:])[_CUT_MARGIN:]
    return f"{head}… (cut: {len(text):,} characters in all) …{tail}"


def _hide(text: str) -> str:
    if _values_pattern is not None:
        text = _values_pattern.sub(HIDDEN, text)
    text = _DATABASE.sub(_hide_password, text)
    return _SHAPES.sub(lambda match: (match[match.lastgroup or 0]) + HIDDEN, text)


def _hide_password(match: re.Match[str]) -> str:
    password, _, host = match["rest"].rpartition("@")
    return f"{match['before']}{HIDDEN}@{host}" if password else match[0]


def configure(log_format: Format, level: str, stream: TextIO | None = None) -> None:
    """Send the log of the process to `stream` (stderr), from `level` (as in LOG_LEVEL) upwards.

    `log_format` None means console on a terminal, JSON otherwise. May be called again.
    """
    processors = configure_own(log_format, level, stream)
    threshold = logging.getLevelNamesMapping()[level.upper()]
    to_dict = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler = logging.StreamHandler(_BestEffortStream(stream or sys.stderr))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.add_logger_name, to_dict, *processors]
        )
    )
    logging.basicConfig(handlers=[handler], level=threshold, force=True)
    # These would log every request or statement, with its URL or parameters.
    for talkative in ("aiosqlite", "asyncio", "httpcore", "httpx", "uvicorn"):
        logging.getLogger(talkative).setLevel(max(threshold, logging.WARNING))


def configure_own(
    log_format: Format, level: str, stream: TextIO | None = None
) -> Sequence[Processor]:
    """As `configure`, but without the standard library's loggers. Returns how lines are made."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    stream = stream or sys.stderr
    terminal = stream.isatty()
    render: list[Processor] = [structlog.processors.JSONRenderer()]
    if log_format == "console" or (log_format is None and terminal):
        # The traceback is already text: the plain formatter avoids a warning about that.
        plain = structlog.dev.plain_traceback
        console = structlog.dev.ConsoleRenderer(colors=terminal, exception_formatter=plain)
        render = [_without_controls, console]
    processors: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.format_exc_info,
        _without_secrets,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        *render,
    ]
    stream = cast(TextIO, _BestEffortStream(stream))
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(stream),
    )
    return processors


def redact_arguments(record: logging.LogRecord) -> bool:
    """A filter for the access log of another server: hides secrets in a request's path."""
    if isinstance(record.args, dict):  # hypercorn's and granian's; it is of this line alone
        record.args.update({name: _redacted(each) for name, each in record.args.items()})
    elif isinstance(record.args, tuple):
        record.args = tuple(map(_redacted, record.args))
    return True


def _redacted(value: object) -> object:
    return redact(value) if isinstance(value, str) else value


class _BestEffortStream:
    """The stream of all loggers. Drops a line that cannot be written (a full disk, a pipe that
    nobody reads): logging must not make a request or a job fail."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):  # ValueError: it is closed
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()


def _without_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {name: _plain(value) for name, value in event.items()}


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    return redact(value if isinstance(value, str) else repr(value))


def _without_controls(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Keep a terminal line on one line; a traceback's lines are indented below it."""
    safe = {
        name: _escape(value if isinstance(value, str) else repr(value))
        for name, value in event.items()
    }
    if isinstance(traceback := event.get("exception"), str):
        safe["exception"] = "\n".join("    " + _escape(line) for line in traceback.split("\n"))
    return safe


def _escape(text: str) -> str:
    return _CONTROLS.sub(lambda match: ascii(match[0])[1:-1], text)
