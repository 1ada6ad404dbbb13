"""`Keys`: users and their API keys."""

import pytest

from store.errors import AmbiguousPrefix, NotFound
from store.keys import ApiKey, User
from tests.store.world import NOW, World, add_key


async def test_a_key_creates_its_user_and_is_found_by_its_hash(world: World) -> None:
    key = ApiKey("ab" * 32, "rk_cat", 0, "cat", True, NOW, None)

    user = await world.store.keys.add(key, "whsec_cat")

    assert user == User(user.id, "cat", "whsec_cat", None, None)
    assert await world.store.keys.find(key.hash) == ApiKey(
        key.hash, "rk_cat", user.id, "cat", True, NOW, None
    )
    assert await world.store.keys.find("cd" * 32) is None
    assert await world.store.keys.user(user.id) == user
    assert await world.store.keys.user_named("cat") == user


async def test_a_second_key_does_not_change_its_user(world: World) -> None:
    again = await add_key(world.store, "ann", "rk_second_")

    assert again == world.ann
    users = [key.user for key in await world.store.keys.list_page("", 10)]
    assert sorted(users) == ["ann", "ann", "bob"]


async def test_keys_are_read_by_the_page_newest_first(world: World) -> None:
    await add_key(world.store, "cat", created_at=NOW + 1)

    keys = await world.store.keys.list_page("", 9)

    assert (len(keys), keys[0].user) == (3, "cat")
    befores = ["", *(key.hash for key in keys)]
    pages = [await world.store.keys.list_page(before, 1) for before in befores]
    assert pages == [*([key] for key in keys), []]


async def test_the_hour_of_the_last_use_never_goes_back(world: World) -> None:
    (bob, ann) = await world.store.keys.list_page("", 2)
    for hour in (NOW, NOW - 1):
        await world.store.keys.note_use([ann.hash, "unknown"], hour)
    found = [await world.store.keys.find(key.hash) for key in (ann, bob)]
    assert [key and key.last_used_at for key in found] == [NOW, None]


async def test_a_prefix_of_one_key_revokes_it(world: World) -> None:
    revoked = await world.store.keys.revoke("rk_an", NOW + 5)

    assert (revoked.user, revoked.revoked_at) == ("ann", NOW + 5)
    assert await world.store.keys.find(revoked.hash) == revoked
    others = {key.hash for key in await world.store.keys.list_page("", 9)} - {revoked.hash}
    assert others
    assert await world.store.keys.active([revoked.hash, *others, "unknown"]) == others
    for prefix in ("rk_an", "nothing", "rk_annn", "%", "rk_b_b"):
        with pytest.raises(NotFound):
            await world.store.keys.revoke(prefix, NOW + 6)


async def test_a_prefix_of_several_keys_revokes_none(world: World) -> None:
    with pytest.raises(AmbiguousPrefix) as caught:
        await world.store.keys.revoke("rk_", NOW)

    assert sorted(caught.value.prefixes) == ["rk_ann", "rk_bob"]
    assert {key.revoked_at for key in await world.store.keys.list_page("", 10)} == {None}


async def test_a_rotated_secret_is_kept_beside_the_new_one(world: World) -> None:
    rotated = await world.store.keys.rotate_secret("ann", "whsec_new", NOW + 9)

    assert rotated == User(world.ann.id, "ann", "whsec_new", "whsec_ann", NOW + 9)
    assert await world.store.keys.user(world.ann.id) == rotated
    assert await world.store.keys.user(999) is None
    with pytest.raises(NotFound):
        await world.store.keys.rotate_secret("nobody", "whsec_x", NOW)
