"""How a command fails: a message on stderr that says what to do next, and an exit status.

0: success, 1: failure, 2: wrong usage or settings, 130: Ctrl-C, 143: SIGTERM. `serve` and `sandbox`
exit with 0 after either signal if they stop in time.
"""

import errno
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import structlog

from receiver.archive.contract import ArchiveUnavailable
from receiver.cli.output import on_one_line
from receiver.client import ApiError, ClientError, Unreachable, UnreadableAnswer
from receiver.engine.keys import UserNameRefused
from receiver.environment import SettingsError
from receiver.logs import redact
from receiver.secret_file import SecretFileError, SecretsInvalid
from store.errors import (
    AddressInvalid,
    AmbiguousPrefix,
    BackupElsewhere,
    SchemaTooNew,
    SchemaTooOld,
    StoreError,
    StoreFull,
    StoreInUse,
    StoreLocked,
    StoreMoved,
    TargetNotEmpty,
)

FAILED = 1
USAGE = 2

_KNOWN: Mapping[type[Exception], tuple[int, str]] = {
    UserNameRefused: (USAGE, ""),
    SecretsInvalid: (USAGE, ""),
    SecretFileError: (FAILED, ""),
    ArchiveUnavailable: (USAGE, "Correct RECEIVER_ARCHIVE_URL or the AWS_… variables."),
    OSError: (FAILED, ""),
    AddressInvalid: (USAGE, "Correct RECEIVER_DATABASE_URL."),
    StoreInUse: (USAGE, "Stop the other service, or set RECEIVER_DATABASE_URL."),
    StoreLocked: (FAILED, "Try again."),
    SchemaTooNew: (FAILED, "Install that release."),
    SchemaTooOld: (FAILED, "Restart `receiver serve` with this release: it upgrades the database."),
    BackupElsewhere: (FAILED, ""),
    StoreMoved: (FAILED, "Set RECEIVER_DATABASE_URL to that database."),
    TargetNotEmpty: (FAILED, "Give the URL of an empty database."),
    StoreFull: (
        FAILED,
        "Check the free space and the permissions there, or set RECEIVER_DATABASE_URL.",
    ),
    StoreError: (FAILED, "Unlock or repair the database, or set RECEIVER_DATABASE_URL to another."),
    Unreachable: (
        FAILED,
        "Start the service with `receiver serve`, or set its URL with RECEIVER_URL or --url.",
    ),
    UnreadableAnswer: (FAILED, "Check RECEIVER_URL or --url, and the proxy variables."),
    ClientError: (FAILED, ""),
}
"""The exit status of an error and what to do about it. A class takes precedence over its bases."""

_AFTER_CODE = {
    "unauthorized": "Set RECEIVER_API_KEY or --api-key to an active key;"
    " `receiver keys list` shows them.",
    "admin_only": "`receiver keys create NAME --admin` creates one.",
    "http_error": "This is not the service's answer: a proxy's, while the service is down, or"
    " RECEIVER_URL is wrong.",
    "unknown_path": "Check RECEIVER_URL or --url, and that no id is empty.",
    "not_found": "See `receiver jobs list` and `receiver deliveries list`.",
}

_CANNOT_LISTEN = {
    errno.EADDRINUSE: "it is in use",
    errno.EADDRNOTAVAIL: "the address is not this machine's",
    errno.EACCES: "permission denied",
}


class Failure(Exception):
    """Ends a command with a message and an exit status."""

    def __init__(self, *lines: str, status: int = FAILED) -> None:
        super().__init__(*lines)
        self.status = status


def report(error: Exception) -> int:
    """Print the error to stderr. Returns the exit status."""
    failure = _as_failure(error)
    for line in (*failure.args, *getattr(error, "__notes__", ())):
        warn(line)
    return failure.status


def warn(line: str) -> None:
    """Print one line to stderr, without secrets and control characters."""
    print(on_one_line(redact(line)), file=sys.stderr)


def warn_of_pause(error: ClientError | None, seconds: float) -> None:
    """Say that a stream is interrupted; see `AsyncClient.watch`."""
    warn(f"{error or 'the stream has ended'}; resuming in {seconds:.0f} s")


@contextmanager
def naming_the_port(host: str, port: int) -> Iterator[None]:
    """Turn an OSError from listening on an address into a Failure."""
    try:
        yield
    except OSError as error:
        reason = _CANNOT_LISTEN.get(error.errno or 0)
        if isinstance(error, socket.gaierror):
            reason = "the host name cannot be resolved"
        if reason is None:
            raise
        raise Failure(
            f"Cannot listen on {host} port {port}: {reason}."
            " Choose another one; --help has the options."
        ) from error


def status_and_advice(error: Exception) -> tuple[int, str] | None:
    """The exit status of an error and what to do about it; None for an unexpected one."""
    return next((_KNOWN[kind] for kind in type(error).__mro__ if kind in _KNOWN), None)


def _as_failure(error: Exception) -> Failure:
    """The message and exit status of an error."""
    match error:
        case Failure():
            return error
        case SettingsError():
            return Failure(*error.faults, *error.warnings, status=USAGE)
        case ApiError():
            return Failure(*_answer_lines(error))
        case AmbiguousPrefix():
            return Failure(
                f"The prefix matches {len(error.prefixes)} keys; nothing was revoked. Use a longer"
                " prefix of one of these:",
                *error.prefixes,
            )
        case _:
            if (found := status_and_advice(error)) is not None:
                status, advice = found
                return Failure(f"{sentence(error)} {advice}".rstrip(), status=status)
            if structlog.is_configured():
                structlog.get_logger().critical("unexpected error", exc_info=error)
            return Failure(f"Internal error (a bug): {type(error).__name__}: {error}")


def sentence(error: Exception) -> str:
    """The error's text as a sentence."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    # A path or URL at the beginning must not be capitalized.
    if text.partition(" ")[0].isalpha():
        text = text[:1].upper() + text[1:]
    return f"{text.rstrip('.')}."


def _answer_lines(error: ApiError) -> Iterator[str]:
    yield f"{error.detail} ({error.status} {error.code})"
    # `detail` repeats the first fault, but without its pointer.
    for fault in error.faults:
        # Not "/api_key: detail": `redact` would take the detail for a key.
        yield f"{fault.detail} (at {fault.pointer})" if fault.pointer else fault.detail
    if error.retry_after is not None:
        yield f"Try again in {error.retry_after:g} s."
    elif error.status >= 500 and error.code != "http_error" and error.request_id is not None:
        yield f"See request_id {error.request_id} in the service's log."
    elif error.code in _AFTER_CODE:
        yield _AFTER_CODE[error.code]
