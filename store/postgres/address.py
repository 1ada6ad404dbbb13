"""A PostgreSQL store's address: libpq's own URL, and one parameter of ours.

    postgresql://user:password@host:5432/database?sslmode=verify-full
    postgresql://user:password@one,two:5432/database                      the one that takes writes
    postgresql://user:password@pooler:6432/database?listen=host:5432

`listen` says that the address is a transaction pooler's: nothing is used there that outlives a
transaction, and notifications are listened for at the server itself, as `host`, `host:port`, or
`none` where it cannot be reached (others' changes are then seen within a second).
"""

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from store.errors import AddressInvalid

DEFAULTS: dict[str, str] = {
    "application_name": "receiver",
    "connect_timeout": "5",
    # Of several hosts, and after a failover, the one that takes writes.
    "target_session_attrs": "read-write",
    # A server that vanished without a word is noticed within ten seconds, not two hours.
    "keepalives_idle": "4",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
"""What holds where the address does not say otherwise."""


_NEEDED = "an address like postgresql://user:password@host:port/database is needed"


@dataclass(frozen=True, slots=True)
class Address:
    """How the database is reached."""

    conninfo: str
    listen: str | None
    """Where notifications are listened for; None where they cannot be."""
    pooled: bool
    """Whether a pooler stands between, which may give each transaction another session."""
    shown: str
    """The host and database, for people; no password."""


def parse(url: str) -> Address:
    """Read an address. Raises `AddressInvalid`, without the password in it."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise AddressInvalid(_NEEDED) from None
    query = parse_qsl(parts.query, keep_blank_values=True)
    listen = dict(query).get("listen")
    kept = urlencode([(name, value) for name, value in query if name != "listen"])
    try:
        given = conninfo_to_dict(urlunsplit(parts._replace(query=kept)))
    except psycopg.ProgrammingError:
        # The message may quote all of the address.
        raise AddressInvalid(_what_is_wrong(kept)) from None
    if not all(port.isdecimal() for port in str(given.get("port", "0")).split(",")):
        raise AddressInvalid(_NEEDED)
    options = {**DEFAULTS, **{name: str(value) for name, value in given.items()}}
    return Address(
        conninfo=make_conninfo("", **options),
        listen=_listening(options, listen),
        pooled=listen is not None,
        shown=f"{options.get('host', 'the local socket')}, database {_database(options)}",
    )


def _listening(options: dict[str, str], listen: str | None) -> str | None:
    if listen == "none":
        return None
    if not listen:
        return make_conninfo("", **options)
    server = urlsplit(f"//{listen}")
    there = {"host": server.hostname or "", "port": str(server.port or 5432)}
    return make_conninfo("", **{**options, **there})


def _database(options: dict[str, str]) -> str:
    return options.get("dbname") or options.get("user") or "by the name of the user"


def _what_is_wrong(query: str) -> str:
    for name, value in parse_qsl(query, keep_blank_values=True):
        try:
            conninfo_to_dict(f"postgresql:///?{urlencode({name: value})}")
        except psycopg.ProgrammingError:
            return f"the address has a parameter that PostgreSQL does not know: {name}"
    return _NEEDED
