"""How a command fails: in words on stderr, what to do next among them, and an exit status.

0 it worked, 1 it did not, 2 usage or settings, 130 Ctrl-C.
"""

import errno
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import structlog

from receiver.actions.issue_key import UserNameRefused
from receiver.cli.output import on_one_line
from receiver.client import ApiError, ClientError, Unreachable
from receiver.logs import redact
from receiver.secret_file import SecretFileError, SecretsUnfit
from receiver.settings import SettingsError
from store.errors import AmbiguousPrefix, SchemaTooNew, StoreError, StoreInUse, StoreLocked

FAILED = 1
USAGE = 2
INTERRUPTED = 130

_NEXT_STEP = {
    401: "Set RECEIVER_API_KEY, or --api-key, to a key in force: `receiver keys list` shows them.",
    404: "`receiver jobs list` and `receiver deliveries list` show what there is.",
}


class Failure(Exception):
    """A command ends with these words and this exit status."""

    def __init__(self, *lines: str, status: int = FAILED) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
        self.status = status


def report(error: Exception) -> int:
    """Say on stderr what went wrong; the exit status for it."""
    failure = as_failure(error)
    if failure is None:
        if structlog.is_configured():
            structlog.get_logger().critical("unexpected fault", exc_info=error)
        failure = Failure(f"This is a fault of ours: {type(error).__name__}: {error}")
    for line in failure.lines:
        tell(line)
    return failure.status


def tell(line: str) -> None:
    """Say one line on stderr, without secrets and without what could steer a terminal."""
    print(on_one_line(redact(line)), file=sys.stderr)


def as_failure(error: Exception) -> Failure | None:
    """What an error is to whoever gave the command; None where it is no known one."""
    match error:
        case Failure():
            return error
        case SettingsError():
            return Failure(*error.faults, *error.warnings, status=USAGE)
        case UserNameRefused() | SecretsUnfit():
            return Failure(_sentence(error), status=USAGE)
        case StoreInUse():
            advice = "One service a database: stop the other, or set RECEIVER_DATABASE_URL."
            return Failure(f"{_sentence(error)} {advice}", status=USAGE)
        case AmbiguousPrefix():
            return Failure(
                f"The prefix fits {len(error.prefixes)} keys, and none was revoked. Give more of"
                " the one that is meant:",
                *error.prefixes,
            )
        case StoreError():
            return Failure(f"{_sentence(error)} {_store_advice(error)}".rstrip())
        case SecretFileError() | OSError():
            return Failure(_sentence(error))
        case ApiError():
            return Failure(*_answer_lines(error))
        case Unreachable():
            return Failure(
                f"{_sentence(error)} Start the service with `receiver serve`, or name its address"
                " by RECEIVER_URL or --url."
            )
        case ClientError():
            return Failure(f"{_sentence(error)} Check RECEIVER_URL, or --url.")
        case _:
            return None


@contextmanager
def naming_the_port(host: str, port: int) -> Iterator[None]:
    """Put an OSError of listening on an address into words."""
    try:
        yield
    except OSError as error:
        reason = _listening_fault(error)
        if reason is None:
            raise
        raise Failure(
            f"Cannot listen on {host} port {port}: {reason}."
            " Set another by RECEIVER_PORT or --port, RECEIVER_HOST or --host."
        ) from error


def _listening_fault(error: OSError) -> str | None:
    if isinstance(error, socket.gaierror):
        return "no address is known by that name"
    match error.errno:
        case errno.EADDRINUSE:
            return "it is in use"
        case errno.EADDRNOTAVAIL:
            return "the address is not this machine's"
        case errno.EACCES:
            return "it needs more rights than this user has"
        case _:
            return None


def _sentence(error: Exception) -> str:
    text = str(error)
    # A path or an address at its beginning stays as it is: in capitals it is another one.
    if text.partition(" ")[0].isalpha():
        text = text[:1].upper() + text[1:]
    return f"{text}."


def _store_advice(error: StoreError) -> str:
    match error:
        case StoreLocked():
            return "Try again."
        case SchemaTooNew():
            return "Install that release."
        case _:
            return "RECEIVER_DATABASE_URL says where the database is."


def _answer_lines(error: ApiError) -> Sequence[str]:
    lines = [f"{error.detail} ({error.status} {error.code})"]
    # The first fault is the detail already, unless it says where.
    lines.extend(f"{fault.pointer}: {fault.detail}" for fault in error.faults)
    if error.retry_after is not None:
        lines.append(f"Try again in {error.retry_after:g} s.")
    elif error.status >= 500 and error.request_id is not None:
        lines.append(f"The service's log has it under request_id {error.request_id}.")
    elif advice := _NEXT_STEP.get(error.status):
        lines.append(advice)
    return lines
