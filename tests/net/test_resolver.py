"""Name lookups: limited in time and number, and independent of each other."""

import asyncio
import socket
import threading
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, ip_address

import pytest

from receiver.net.resolver import MAX_ADDRESSES, IPAddress, Resolver

HERE: Sequence[IPAddress] = (IPv4Address("127.0.0.1"),)


class SlowNames:
    """A blocking name service; names like `dead…` hang until they are `released`."""

    def __init__(self) -> None:
        self.released = threading.Event()

    def lookup(self, host: str) -> Sequence[IPAddress]:
        if host.startswith("dead"):
            self.released.wait()
            raise socket.gaierror
        return HERE


@pytest.fixture
def names() -> Iterator[SlowNames]:
    names = SlowNames()
    yield names
    names.released.set()


async def test_only_the_first_of_very_many_addresses_are_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = [(0, 0, 0, "", (f"127.0.{n // 250}.{n % 250}", 0)) for n in range(6_000)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

    addresses = await Resolver().resolve("many.example")

    assert addresses == tuple(IPv4Address(at[0]) for *_, at in found[:MAX_ADDRESSES])


async def test_an_address_is_not_looked_up(names: SlowNames) -> None:
    for text in ("192.0.2.7", "::1"):
        assert await Resolver(lambda _: HERE).resolve(text) == [ip_address(text)]


async def test_dead_names_are_given_up_and_only_they_hold_slots(names: SlowNames) -> None:
    resolver = Resolver(names.lookup, timeout=0.5, slots=3)
    two = await asyncio.gather(*(resolver.resolve(f"dead{n}.example") for n in range(2)))
    assert two == [(), ()]
    assert await resolver.resolve("good.example") == HERE
    assert await resolver.resolve("dead.example") == ()
    assert await resolver.resolve("good.example") == ()  # no slot is free
    assert await asyncio.to_thread(lambda: True)  # the loop's own threads are
    names.released.set()
    assert await resolver.resolve("good.example") == HERE


async def test_a_cancelled_caller_gives_its_slot_back() -> None:
    gate = threading.Event()

    def lookup(_: str) -> Sequence[IPAddress]:
        gate.wait()
        return HERE

    resolver = Resolver(lookup, slots=1)
    leaving, staying = (asyncio.create_task(resolver.resolve("a.example")) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    gate.set()
    assert await staying == HERE


def test_a_lookup_that_outlives_its_loop_is_harmless(names: SlowNames) -> None:
    assert asyncio.run(Resolver(names.lookup, timeout=0.05).resolve("dead.example")) == ()
    (thread,) = (each for each in threading.enumerate() if each.name == "resolve dead.example")
    assert thread.daemon
    names.released.set()
    thread.join(5)
    assert not thread.is_alive()


async def test_without_a_free_thread_there_is_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    resolver = Resolver(lambda _: HERE, slots=1)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        assert await resolver.resolve("a.example") == ()
    assert await resolver.resolve("a.example") == HERE
