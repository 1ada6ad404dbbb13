"""Name lookups: bounded, limited in time, and independent of each other."""

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, ip_address

import pytest

from receiver.http_client.resolver import MAX_ADDRESSES, IPAddress, NoAddress, Resolver

HERE: Sequence[IPAddress] = (IPv4Address("127.0.0.1"),)
SHORT = 1.0


class SlowNames:
    """A blocking name service; names like `dead…` hang until they are `released`."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.asked: Counter[str] = Counter()

    def lookup(self, host: str) -> Sequence[IPAddress]:
        self.asked[host] += 1
        if host.startswith("dead"):
            self.released.wait()
            raise socket.gaierror
        return HERE


@pytest.fixture
def names() -> Iterator[SlowNames]:
    names = SlowNames()
    yield names
    names.released.set()


def lookups_under_way() -> int:
    return sum(thread.name.startswith("resolve ") for thread in threading.enumerate())


async def fail_to_resolve(resolver: Resolver, *hosts: str) -> None:
    outcomes = await asyncio.gather(
        *(resolver.resolve(host) for host in hosts), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [NoAddress] * len(hosts)


async def test_only_the_first_of_very_many_addresses_are_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = [(0, 0, 0, "", (f"127.0.{n // 250}.{n % 250}", 0)) for n in range(6_000)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

    addresses = await Resolver().resolve("many.example")

    assert addresses == tuple(IPv4Address(at[0]) for *_, at in found[:MAX_ADDRESSES])


@pytest.mark.parametrize("error", [socket.gaierror(-2, "unknown"), TimeoutError(), OSError(), None])
async def test_a_lookup_without_an_answer_is_no_address(error: OSError | None) -> None:
    def fail(_: str) -> Sequence[IPAddress]:
        if error is not None:
            raise error
        return ()

    await fail_to_resolve(Resolver(fail), "a.example", "a.example")


async def test_an_address_is_not_looked_up(names: SlowNames) -> None:
    resolver = Resolver(names.lookup)
    assert await resolver.resolve("192.0.2.7") == [ip_address("192.0.2.7")]
    assert await resolver.resolve("::1") == [ip_address("::1")]
    assert not names.asked


async def test_a_dead_name_is_given_up_and_has_one_thread(names: SlowNames) -> None:
    resolver = Resolver(names.lookup, timeout=0.2)
    await fail_to_resolve(resolver, *["dead.example"] * 20)
    await fail_to_resolve(resolver, *["dead.example"] * 20)
    assert names.asked == {"dead.example": 1}
    assert lookups_under_way() == 1


async def test_dead_names_are_bounded_and_do_not_touch_names_that_work(names: SlowNames) -> None:
    resolver = Resolver(names.lookup, timeout=SHORT, slots=3)
    assert await resolver.resolve("good.example") == HERE
    await fail_to_resolve(resolver, *(f"dead{n}.example" for n in range(10)))
    assert lookups_under_way() == 3
    await fail_to_resolve(resolver, "new.example")  # a name that was never resolved has to wait
    assert await resolver.resolve("good.example") == HERE
    names.released.set()
    assert await resolver.resolve("new.example") == HERE


async def test_callers_waiting_for_a_slot_share_one_lookup(names: SlowNames) -> None:
    gate = threading.Event()

    def lookup(host: str) -> Sequence[IPAddress]:
        addresses = names.lookup(host)
        gate.wait()
        return addresses

    resolver = Resolver(lookup, slots=2)
    dead = [asyncio.create_task(resolver.resolve(f"dead{n}.example")) for n in range(2)]
    waiting = [asyncio.create_task(resolver.resolve("new.example")) for _ in range(2)]
    await asyncio.sleep(0)
    assert names.asked["new.example"] == 0
    names.released.set()
    await asyncio.gather(*dead, return_exceptions=True)  # both slots have been handed over by then
    gate.set()
    assert await asyncio.gather(*waiting) == [HERE, HERE]
    assert names.asked["new.example"] == 1


async def test_a_name_that_stops_answering_loses_its_lane(names: SlowNames) -> None:
    answers = iter([HERE, (), HERE])
    resolver = Resolver(
        lambda host: next(answers) if host == "odd.example" else names.lookup(host),
        timeout=SHORT,
        slots=1,
    )
    assert await resolver.resolve("odd.example") == HERE
    await fail_to_resolve(resolver, "odd.example")
    await fail_to_resolve(resolver, "dead.example", "odd.example")


async def test_a_cancelled_caller_does_not_cancel_the_others_lookup(names: SlowNames) -> None:
    gate = threading.Event()

    def lookup(_: str) -> Sequence[IPAddress]:
        gate.wait()
        return HERE

    resolver = Resolver(lookup)
    leaving, staying = (asyncio.create_task(resolver.resolve("a.example")) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    gate.set()
    assert await staying == HERE
    with pytest.raises(asyncio.CancelledError):
        await leaving


def test_a_lookup_that_outlives_its_loop_is_harmless(names: SlowNames) -> None:
    async def play() -> None:
        await fail_to_resolve(Resolver(names.lookup, timeout=0.05), "dead.example")

    asyncio.run(play())
    names.released.set()
    for thread in threading.enumerate():
        if thread.name == "resolve dead.example":
            assert thread.daemon
            thread.join(5)
    assert lookups_under_way() == 0


async def test_without_a_free_thread_there_is_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    resolver = Resolver(lambda _: HERE, slots=1)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        await fail_to_resolve(resolver, "a.example", "a.example")
    assert await resolver.resolve("a.example") == HERE
