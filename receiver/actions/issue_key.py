"""An operator gives a user a key. The key is told once; the store knows its hash."""

import base64
import hashlib
import re
from dataclasses import dataclass

from receiver.webhooks.signing import new_secret
from store.contract import Store
from store.ids import Entropy
from store.records import ApiKey, Millis

SECRET_BYTES = 32
PREFIX_LENGTH = 11
"""`rk_` and eight characters: enough to tell keys apart, and nothing that could be guessed from."""

# What needs no escape in an address (`?user=NAME`), a shell or a log.
_USER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


class UserNameRefused(ValueError):
    """No user can be called that; the text says what would do."""


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """What is told once."""

    user: str
    key: str
    secret: str
    """The user's signing secret: a new one where the user is new."""
    prefix: str


def hash_key(key: str) -> str:
    """A key as the store knows it: SHA-256, hexadecimal."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


async def issue_key(
    store: Store, now: Millis, entropy: Entropy, user: str, *, admin: bool
) -> IssuedKey:
    """Make a key for `user`, and the user where the name is new.

    Raises:
        UserNameRefused: see there.
        StoreUnavailable: nothing was written.
    """
    if not _USER_NAME.fullmatch(user):
        raise UserNameRefused(
            "a user's name is 1 to 64 letters, digits and . _ @ -, the first a letter or a digit"
        )
    random_part = base64.urlsafe_b64encode(entropy(SECRET_BYTES)).decode("ascii").rstrip("=")
    key = f"rk_{random_part}"
    row = ApiKey(
        hash=hash_key(key),
        prefix=key[:PREFIX_LENGTH],
        user_id=0,
        user=user,
        admin=admin,
        created_at=now,
        revoked_at=None,
    )
    owner = await store.keys.add(row, new_secret(entropy(SECRET_BYTES)))
    return IssuedKey(user=owner.name, key=key, secret=owner.secret, prefix=row.prefix)
