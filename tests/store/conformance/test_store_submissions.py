"""`Submissions`: the holds."""

from store.holds import Hold, LimitedUser, ProviderHolds, Refusal
from store.records.times import Lane
from tests.store.world import NOW, SECOND, World


async def test_holds_are_stored_and_announced(world: World) -> None:
    submissions = world.store.submissions
    assert await submissions.holds() == {}
    refusal = Refusal("job_1", world.ann.id, "ann", 503)
    hold = Hold(NOW + 5 * SECOND, 5 * SECOND, (refusal,), ("job_2",))
    holds = ProviderHolds(
        hold, {world.ann.id: LimitedUser(NOW, hold), 7: LimitedUser(NOW)}, {"j": NOW}
    )

    assert await submissions.change_holds("samsar", lambda before: holds) == holds
    assert [changes.due for changes in world.notified] == [{Lane.SUBMIT: 0}]
    assert await submissions.change_holds("samsar", lambda before: before) == holds
    assert len(world.notified) < 2 or not world.notified[-1].due

    assert await submissions.holds() == {"samsar": holds}
    await submissions.change_holds("samsar", lambda _: ProviderHolds())
    assert await submissions.holds() == {"samsar": ProviderHolds()}
