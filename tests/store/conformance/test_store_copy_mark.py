"""The mark of a copy that no service has run on yet."""

from store.database import Store


async def test_a_restored_store_is_a_copy_until_its_mark_is_removed(store: Store) -> None:
    seen = [await store.is_unused_copy()]
    for change in (store.mark_as_copy, store.mark_as_copy, store.remove_copy_mark):
        await change()
        seen.append(await store.is_unused_copy())
    assert seen == [False, True, True, False]
