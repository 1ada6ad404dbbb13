"""Parses a PostgreSQL store's address: a libpq URL with one extra parameter, `listen`.

    postgresql://user:password@host:5432/database?sslmode=verify-full
    postgresql://user:password@one,two:5432/database              the host that accepts writes
    postgresql:///database?host=/folder&user=user                 a Unix socket
    postgresql://user:password@pooler:6432/database?listen=host:5432

`listen` says that the address is a transaction pooler. Nothing is then used that outlives a
transaction, and notifications are received from the server itself: `host`, `host:port`, or `none`
if it cannot be reached (changes by other processes are then seen within a second).
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from store.errors import AddressInvalid

DEFAULTS: dict[str, str] = {
    "application_name": "receiver",
    "connect_timeout": "5",
    # With several hosts, and after a failover, use the one that accepts writes.
    "target_session_attrs": "read-write",
    # Detect within ten seconds, not two hours, that the server's machine is gone.
    "keepalives_idle": "4",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
"""Connection parameters that the address can override."""

_LISTEN = re.compile(r"(?<=[?&])listen=([^&]*)&?")
_UNKNOWN = re.compile(r'invalid URI query parameter: "(\w+)"')
_NEEDED = "an address like postgresql://user:password@host:port/database is needed"


@dataclass(frozen=True, slots=True)
class Address:
    """How to connect to the database."""

    conninfo: str
    listen: str | None
    """The conninfo to listen for notifications; None if that is not possible."""
    pooled: bool
    """Whether there is a pooler, which may run each transaction in another session."""
    display_name: str
    """The host and database, for messages; no password."""
    has_several_hosts: bool
    """Whether there are several hosts, of which the one that accepts writes is used."""


def parse(url: str) -> Address:
    """Parse an address. Raises `AddressInvalid`, which never contains the password."""
    if url.removeprefix("postgresql://").partition("/")[0].count("@") > 1:
        # libpq would take the end of the password for the host, which messages show.
        raise AddressInvalid("@ in a user or password is written %40")
    listen = _LISTEN.search(url)
    try:
        given = conninfo_to_dict(_LISTEN.sub("", url))
    except psycopg.ProgrammingError as error:
        # libpq's message may quote the whole address, or what follows a ? in a password.
        unknown = _UNKNOWN.search(str(error))
        if unknown is None or "@" in url.partition("?")[2]:
            raise AddressInvalid(_NEEDED) from None
        raise AddressInvalid(f"PostgreSQL knows no parameter {unknown[1]} of an address") from None
    if not all(port.isdecimal() for port in str(given.get("port", "")).split(",") if port):
        raise AddressInvalid(_NEEDED)
    # Not the encoding of the role or of PGCLIENTENCODING, which may lack characters.
    given["client_encoding"] = "UTF8"
    options = {**DEFAULTS, **{name: str(value) for name, value in given.items()}}
    database = options.get("dbname") or options.get("user") or "named after the user"
    return Address(
        conninfo=make_conninfo("", **options),
        listen=_listen_conninfo(options, listen and unquote(listen[1])),
        pooled=listen is not None,
        display_name=f"{options.get('host', 'the local socket')}, database {database}",
        has_several_hosts="," in options.get("host", ""),
    )


def _listen_conninfo(options: dict[str, str], listen: str | None) -> str | None:
    if listen == "none":
        return None
    if not listen:
        return make_conninfo("", **options)
    try:
        server = urlsplit(f"//{listen}")
        endpoint = {"host": server.hostname or "", "port": str(server.port or 5432)}
    except ValueError:
        raise AddressInvalid("the address's parameter listen must be host:port or none") from None
    return make_conninfo("", **{**options, **endpoint})
