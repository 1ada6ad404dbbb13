"""Keeps the signing secrets in a file beside the database if SECRET_KEYS is not set.

The file has one secret per line, newest first, like SECRET_KEYS: to rotate, insert a new first
line. Anyone who can read it can sign callback URLs and tickets, hence mode 0600.
"""

import os
import secrets
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

from receiver.config.values import MIN_SECRET_LENGTH
from store.files import fsync


class SecretFileError(Exception):
    """The file cannot be created, read or used; the message names it, but not its content."""


class SecretsInvalid(SecretFileError):
    """The file's content cannot be used: a configuration error."""


def load_or_create(path: Path) -> list[str]:
    """The secrets in `path`, newest first; if there is no file yet, it is created with a new one.

    Processes that start at the same time get the same secret. A file that others can read is set to
    mode 0600. Raises SecretFileError, and SecretsInvalid if the content is invalid.
    """
    try:
        if not path.exists():
            _create(path)
        elif path.stat().st_mode & 0o077:
            # Another owner's file, or a read-only file system: the mode is left alone.
            with suppress(OSError):
                path.chmod(0o600)
        text = path.read_text("utf-8", errors="replace")
    except OSError as error:
        raise SecretFileError(
            f"the signing secrets cannot be read from or written to {path}: {error.strerror}"
        ) from None
    found = text.split()
    if not found or not text.isascii() or any(len(each) < MIN_SECRET_LENGTH for each in found):
        raise SecretsInvalid(
            f"the secrets file {path} must have one secret of at least {MIN_SECRET_LENGTH} ASCII"
            " characters per line: restore it, or delete it to get a new one"
        )
    return found


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile("w", encoding="ascii", dir=path.parent) as draft:  # its mode is 0600
        draft.write(secrets.token_urlsafe(48) + "\n")
        draft.flush()
        os.fsync(draft.fileno())
        # A link is atomic, and never replaces the file of a faster process.
        with suppress(FileExistsError):
            os.link(draft.name, path)
    fsync(path.parent)
