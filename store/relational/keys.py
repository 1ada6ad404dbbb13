"""Users and their API keys."""

from store.errors import AmbiguousPrefix, NotFound
from store.records import ApiKey, Millis, User
from store.relational.backend import Backend
from store.relational.session import Effects, Row, Session


class SqlKeys:
    """`store.contract.Keys`."""

    def __init__(self, backend: Backend) -> None:
        self._writer = backend.writer
        self._readers = backend.readers
        self._random = backend.random
        self._sql = backend.statements.load("keys")

    async def add(self, key: ApiKey, new_secret: str) -> User:
        def work(db: Session, _: Effects) -> User:
            db.execute(
                self._sql["add-user"],
                {"name": key.user, "secret": new_secret, "nonce": self._random.nonce()},
            )
            user = self._read_user(db, key.user)
            db.execute(
                self._sql["add-key"],
                {
                    "hash": key.hash,
                    "prefix": key.prefix,
                    "user_id": user.id,
                    "admin": key.admin,
                    "created_at": key.created_at,
                    "revoked_at": key.revoked_at,
                },
            )
            return user

        return await self._writer.urgent(work)

    async def find(self, key_hash: str) -> ApiKey | None:
        rows = await self._readers.fetch(self._sql["read-key"], {"hash": key_hash})
        return _key(rows[0]) if rows else None

    async def list_all(self) -> list[ApiKey]:
        return [_key(row) for row in await self._readers.fetch(self._sql["list-keys"], {})]

    async def revoke(self, prefix: str, now: Millis) -> ApiKey:
        def work(db: Session, _: Effects) -> ApiKey:
            rows = db.execute(self._sql["list-fitting-keys"], {"prefix": prefix}).fetchall()
            match [_key(row) for row in rows]:
                case []:
                    raise NotFound(prefix)
                case [key]:
                    db.execute(self._sql["revoke-key"], {"hash": key.hash, "now": now})
                    return _key(db.execute(self._sql["read-key"], {"hash": key.hash}).fetchone())
                case keys:
                    raise AmbiguousPrefix([key.prefix for key in keys])

        return await self._writer.urgent(work)

    async def rotate_secret(self, user: str, secret: str, old_until: Millis) -> User:
        def work(db: Session, _: Effects) -> User:
            db.execute(
                self._sql["rotate-secret"], {"name": user, "secret": secret, "old_until": old_until}
            )
            return self._read_user(db, user)

        return await self._writer.urgent(work)

    async def user(self, user_id: int) -> User | None:
        rows = await self._readers.fetch(self._sql["read-user"], {"user_id": user_id})
        return User(*rows[0]) if rows else None

    async def user_named(self, name: str) -> User | None:
        rows = await self._readers.fetch(self._sql["read-user-by-name"], {"name": name})
        return User(*rows[0]) if rows else None

    def _read_user(self, db: Session, name: str) -> User:
        row = db.execute(self._sql["read-user-by-name"], {"name": name}).fetchone()
        if row is None:
            raise NotFound(name)
        return User(*row)


def _key(row: Row) -> ApiKey:
    hash_, prefix, user_id, user, admin, created_at, revoked_at = row
    return ApiKey(hash_, prefix, user_id, user, bool(admin), created_at, revoked_at)
