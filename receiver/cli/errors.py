"""How a command fails: a message on stderr that says what to do next, and an exit status.

0: success, 1: failure, 2: wrong usage or settings, 130: Ctrl-C, 143: SIGTERM. `serve` and `sandbox`
exit with 0 after either signal if they stop in time.
"""

import sys
from collections.abc import Iterator, Mapping
from typing import Final

import structlog

from receiver.archive.contract import ArchiveUnavailable
from receiver.cli.output import on_one_line
from receiver.client import ApiError, ClientError, Unreachable
from receiver.config.environment import SettingsError
from receiver.config.secret_file import SecretFileError, SecretsInvalid
from receiver.engine.keys import UserNameRefused
from receiver.telemetry.logs import redact
from store.errors import (
    AddressInvalid,
    AmbiguousPrefix,
    SchemaTooNew,
    SchemaTooOld,
    SchemaUnsupported,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreInUse,
    StoreLocked,
    StoreMoved,
    TargetNotEmpty,
)

FAILED: Final = 1
USAGE: Final = 2

_SettingError = ArchiveUnavailable | SecretsInvalid | SettingsError | AddressInvalid
_UsageError = _SettingError | UserNameRefused | StoreInUse
_KnownError = _UsageError | ClientError | OSError | SecretFileError | StoreError
_ADVICE: Final[Mapping[type[Exception], str]] = {
    ArchiveUnavailable: "Correct RECEIVER_ARCHIVE_URL or the AWS_… variables.",
    AddressInvalid: "Correct RECEIVER_DATABASE_URL.",
    StoreInUse: "Stop the other service, or set RECEIVER_DATABASE_URL.",
    StoreCorrupt: "Restore a backup, or set RECEIVER_DATABASE_URL to a database of receiver.",
    StoreLocked: "Try again.",
    SchemaTooNew: "Install that release.",
    SchemaTooOld: "Restart `receiver serve` with this release: it upgrades the database.",
    SchemaUnsupported: "Run 2.0.0 once to upgrade it, then start this version.",
    StoreMoved: "Set RECEIVER_DATABASE_URL to that database.",
    TargetNotEmpty: "Give the URL of an empty database.",
    StoreFull: "Check the free space and the permissions there, or set RECEIVER_DATABASE_URL.",
    Unreachable: "Start the service with `receiver serve`, or set its URL with RECEIVER_URL.",
}
_AFTER_CODE: Final = {
    "unauthorized": "Set RECEIVER_API_KEY to an active key; `receiver keys list` shows them.",
    "admin_only": "`receiver keys create NAME --admin` creates an admin key.",
    "http_error": "A proxy's, while the service is down, or RECEIVER_URL is wrong.",
    "unknown_path": "Check RECEIVER_URL, and that no id is empty.",
    "not_found": "See `receiver jobs list` and `receiver deliveries list`.",
}


class Failure(Exception):
    """Ends a command with a message and an exit status."""

    def __init__(self, *lines: str, status: int = FAILED) -> None:
        super().__init__(*lines)
        self.status = status


def report(error: Exception) -> int:
    """Print the error to stderr. Returns the exit status."""
    for line in (*_lines(error), *getattr(error, "__notes__", ())):
        warn(line)
    if isinstance(error, Failure):
        return error.status
    return USAGE if isinstance(error, _UsageError) else FAILED


def warn(line: str) -> None:
    """Print one line to stderr, without secrets and control characters."""
    print(on_one_line(redact(line)), file=sys.stderr)


def advice(error: Exception) -> str:
    """What to do about the error; empty if its text says it."""
    return next((_ADVICE[kind] for kind in type(error).__mro__ if kind in _ADVICE), "")


def sentence(error: Exception) -> str:
    """The error's text as a sentence."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    # A path or URL at the beginning must not be capitalized.
    if text.partition(" ")[0].isalpha():
        text = text[:1].upper() + text[1:]
    return f"{text.rstrip('.')}."


def _lines(error: Exception) -> tuple[str, ...]:
    match error:
        case Failure():
            return error.args
        case SettingsError():
            return (*error.faults, *error.warnings)
        case ApiError():
            return tuple(_answer_lines(error))
        case AmbiguousPrefix():
            text = f"The prefix matches {len(error.prefixes)} keys; nothing was revoked. They are:"
            return (text, *error.prefixes)
        case _ if isinstance(error, _KnownError):
            return (f"{sentence(error)} {advice(error)}".rstrip(),)
        case _:
            if structlog.is_configured():
                structlog.get_logger().critical("unexpected error", exc_info=error)
            return (f"Internal error (a bug): {type(error).__name__}: {error}",)


def _answer_lines(error: ApiError) -> Iterator[str]:
    """The service's words, each once, and what to do."""
    if not error.faults:
        yield f"{error.detail} ({error.status} {error.code})"
    for fault in error.faults:  # `detail` repeats the first
        # Not "/api_key: detail": `redact` would take the detail for a key.
        yield f"{fault.detail} (at {fault.pointer})" if fault.pointer else fault.detail
    if error.retry_after is not None:
        yield f"Try again in {error.retry_after:g} s."
    elif error.code in _AFTER_CODE:
        yield _AFTER_CODE[error.code]
    elif error.status >= 500 and error.request_id is not None:
        yield f"See request_id {error.request_id} in the service's log."
