"""Users and their API keys."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

from store.changes import CommitNotice
from store.errors import AmbiguousPrefix, NotFound
from store.records.times import Millis
from store.repository import Repository
from store.rows import to_json
from store.session import Row, Session


@dataclass(frozen=True, slots=True)
class User:
    """The owner of API keys. The secret signs the webhooks that we send."""

    id: int
    name: str
    secret: str
    previous_secret: str | None
    previous_secret_until: Millis | None


@dataclass(frozen=True, slots=True)
class UserSummary:
    """A user in the list of users."""

    name: str
    created_at: Millis
    """When their first key was created."""
    keys: int
    """Number of active keys."""
    unfinished: int
    """Number of unfinished jobs."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key. The store never has the key itself, only its SHA-256."""

    hash: str
    """SHA-256 of the key, hexadecimal."""
    prefix: str
    """The key's first characters, shown to people."""
    user_id: int
    user: str
    admin: bool
    created_at: Millis
    revoked_at: Millis | None
    name: str | None = None
    """What its owner calls it."""
    last_used_at: Millis | None = None
    """The beginning of the hour in which it was used last."""


class Keys(Repository):
    subject = "keys"

    async def add(self, key: ApiKey, new_secret: str) -> User:
        """Add a key (`user_id` is filled in here) and, if the name is new, its user with
        `new_secret`. Returns the user."""

        def work(db: Session, _: CommitNotice) -> User:
            owner = {"name": key.user, "secret": new_secret, "nonce": self._ids.nonce()}
            db.execute(self._sql["add-user"], owner)
            user = self._read_user(db, key.user)
            db.execute(self._sql["add-key"], asdict(key) | {"user_id": user.id})
            return user

        return await self._writer.urgent(work)

    async def find(self, key_hash: str) -> ApiKey | None:
        return await self._find("read-key", _key, hash=key_hash)

    async def active(self, hashes: Iterable[str]) -> set[str]:
        """Those of the hashes whose keys are not revoked."""
        rows = await self._fetch("list-active", hashes=to_json([*hashes]))
        return {found for (found,) in rows}

    async def list_page(self, before: str, limit: int) -> list[ApiKey]:
        """Keys older than the one with the hash `before` (all if there is none), newest first."""
        rows = await self._fetch("list-keys", before=before, limit=limit)
        return [_key(row) for row in rows]

    async def revoke(self, prefix: str, now: Millis) -> ApiKey:
        """Revoke the one active key with this prefix. Raises `NotFound`, `AmbiguousPrefix`."""

        def work(db: Session, _: CommitNotice) -> ApiKey:
            rows = db.execute(self._sql["list-keys-by-prefix"], {"prefix": prefix}).fetchall()
            match [_key(row) for row in rows]:
                case []:
                    raise NotFound(prefix)
                case [key]:
                    db.execute(self._sql["revoke-key"], {"hash": key.hash, "now": now})
                    return replace(key, revoked_at=now)
                case keys:
                    raise AmbiguousPrefix([key.prefix for key in keys])

        return await self._writer.urgent(work)

    async def note_use(self, hashes: Iterable[str], hour: Millis) -> None:
        """Note that these keys were used in the hour that begins then."""
        parameters = {"hashes": to_json([*hashes]), "hour": hour}

        def work(db: Session, _: CommitNotice) -> None:
            db.execute(self._sql["note-use"], parameters)

        await self._writer.normal(work)

    async def rotate_secret(self, user: str, secret: str, old_until: Millis) -> User:
        """Give the user a new signing secret; the previous one also signs until `old_until`.
        Raises `NotFound`."""

        def work(db: Session, _: CommitNotice) -> User:
            renewed = {"name": user, "secret": secret, "old_until": old_until}
            db.execute(self._sql["rotate-secret"], renewed)
            return self._read_user(db, user)

        return await self._writer.urgent(work)

    async def user(self, user_id: int) -> User | None:
        return await self._find("read-user", _user, user_id=user_id)

    async def user_named(self, name: str) -> User | None:
        return await self._find("read-user-by-name", _user, name=name)

    async def list_users(self, after: str, limit: int) -> list[UserSummary]:
        """Users in the order of their names, those after the name `after`."""
        rows = await self._fetch("list-users", after=after, limit=limit)
        return [UserSummary(*row) for row in rows]

    def _read_user(self, db: Session, name: str) -> User:
        row = db.execute(self._sql["read-user-by-name"], {"name": name}).fetchone()
        if row is None:
            raise NotFound(name)
        return _user(row)


def _key(row: Row) -> ApiKey:
    hash_, prefix, user_id, user, admin, *rest = row
    return ApiKey(hash_, prefix, user_id, user, bool(admin), *rest)


def _user(row: Row) -> User:
    return User(*row)
