"""Issues API keys, shown once and stored as hashes, lists them, and rotates signing secrets."""

import base64
import hashlib
import re
from dataclasses import dataclass

from receiver.domain.schedule import DAY
from receiver.domain.serialization import timestamp
from receiver.webhooks.signing import new_secret
from store.database import Store
from store.ids import Entropy
from store.keys import ApiKey, User
from store.records.times import Millis

SECRET_BYTES = 32
PREFIX_LENGTH = 11
"""`rk_` and eight characters: enough to tell keys apart, too little to guess the rest."""

KEY_NAME = 64

OVERLAP: Millis = DAY
"""How long a previous secret signs together with the new one."""

# Needs no escaping in a URL (`?user=NAME`), a shell or a log.
_USER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


class UserNameRefused(ValueError):
    """The name of a user or key is not allowed; the text says which are."""


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """The secrets, to be shown once."""

    user: str
    key: str
    secret: str
    """The user's signing secret, newly created for a new user."""
    prefix: str


def hash_key(key: str) -> str:
    """A key's hash in the store: SHA-256, hexadecimal."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def check_user_name(user: str) -> None:
    """Raises UserNameRefused."""
    if not _USER_NAME.fullmatch(user):
        raise UserNameRefused(
            "A user name is 1 to 64 letters, digits and . _ @ -, and starts with a letter or digit"
        )


async def issue_key(
    store: Store,
    now: Millis,
    entropy: Entropy,
    user: str,
    *,
    admin: bool,
    name: str | None = None,
) -> IssuedKey:
    """Create a key for `user`, and the user if the name is new. `name` is the key's own.

    Raises:
        UserNameRefused: the name is not allowed.
        StoreUnavailable: nothing was written, unless it is `OutcomeUnknown`.
    """
    check_user_name(user)
    if name is not None and not (1 <= len(name) <= KEY_NAME and name.isprintable()):
        raise UserNameRefused(f"A key's name is 1 to {KEY_NAME} printable characters")
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
        name=name,
    )
    owner = await store.keys.add(row, new_secret(entropy(SECRET_BYTES)))
    return IssuedKey(user=owner.name, key=key, secret=owner.secret, prefix=row.prefix)


def key_document(key: ApiKey) -> dict[str, object]:
    """A key as it is listed, ready for JSON."""
    return {
        "prefix": key.prefix,
        "user": key.user,
        "name": key.name,
        "admin": key.admin,
        "created_at": timestamp(key.created_at),
        "last_used_at": timestamp(key.last_used_at),
        "revoked_at": timestamp(key.revoked_at),
    }


async def rotate_secret(store: Store, now: Millis, entropy: Entropy, user: str) -> User:
    """Replace the user's secret; the previous one also signs for `OVERLAP`.

    Raises:
        NotFound: there is no such user.
        StoreUnavailable: nothing was written, unless it is `OutcomeUnknown`.
    """
    return await store.keys.rotate_secret(user, new_secret(entropy(SECRET_BYTES)), now + OVERLAP)
