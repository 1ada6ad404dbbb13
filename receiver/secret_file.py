"""Signing secrets that are kept in a file beside the database, for who has set none.

The file holds one secret a line, newest first, as SECRET_KEYS does: a rotation by hand is a new
first line. Whoever can read it can sign callback addresses and tickets, hence mode 0600.
"""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from receiver.setting_values import MIN_SECRET_LENGTH


class SecretFileError(Exception):
    """The file cannot be made, read or used; the text names it and never what it holds."""


class SecretsUnfit(SecretFileError):
    """What the file holds cannot be used: a fault of the setting that it stands for."""


def load_or_create(path: Path) -> list[str]:
    """The secrets in `path`, newest first; a fresh one, on disk, when there is no file yet.

    Processes that start at once end with the same secret. A file that others can read is closed to
    them. Raises SecretFileError, and SecretsUnfit where what it holds is to blame.
    """
    try:
        if not path.exists():
            _create(path)
        elif path.stat().st_mode & 0o077:
            # Another owner's file, or one in a read-only place: the mode is theirs to choose.
            with suppress(OSError):
                path.chmod(0o600)
        text = path.read_text("ascii")
    except OSError as error:
        raise SecretFileError(
            f"the signing secrets cannot be kept in {path}: {error.strerror}"
        ) from None
    except UnicodeError:
        raise SecretsUnfit(f"the secrets file {path} is no ASCII text") from None
    found = [line.strip() for line in text.splitlines() if line.strip()]
    if not found:
        raise SecretsUnfit(
            f"the secrets file {path} is empty: put the signing secret back,"
            " or remove the file for a fresh one"
        )
    if any(len(secret) < MIN_SECRET_LENGTH for secret in found):
        raise SecretsUnfit(
            f"the secrets file {path} holds a secret of fewer than {MIN_SECRET_LENGTH} characters"
        )
    return found


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(48) + "\n")
            file.flush()
            os.fsync(file.fileno())
        # A link appears whole or not at all, and never replaces the file of a faster process.
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
