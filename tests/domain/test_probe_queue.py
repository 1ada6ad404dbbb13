"""Which failures count for a breaker, and which job's call tests it next."""

import pytest

from receiver.domain import probe_queue
from receiver.domain.probe_queue import ProbeQueue

NOW = 100.0


def play(queue: ProbeQueue, calls: str) -> list[bool]:
    """Replay calls about jobs, `a+` answered and `a-` not; for each failure, whether it counts."""
    counted = []
    for call in calls.split():
        if call.endswith("+"):
            queue.answered(call[0])
        else:
            counted.append(queue.failed(call[0]))
    return counted


@pytest.mark.parametrize(
    ("calls", "counted"),
    [
        pytest.param("a- a- b- a-", [True] * 4, id="without an answer, all count"),
        pytest.param("a- b+ a- b- a-", [True, False, True, False], id="after another's, not its"),
        pytest.param("a- b+ a- a+ a-", [True, False, True], id="until it is answered itself"),
    ],
)
def test_a_failure_counts_until_another_job_is_answered(calls: str, counted: list[bool]) -> None:
    assert play(ProbeQueue(), calls) == counted


# Each waiting job: its name, its user, and `!` if it has a claim.
@pytest.mark.parametrize(
    ("calls", "waiting", "order"),
    [
        ("", "a1 b1 c1", "abc"),
        ("", "a1 b1! c1!", "bca"),
        ("a- b-", "a1! b1 c1", "cab"),
        ("d-", "a1! b1! c1 d2 e3", "aedbc"),
        ("", "a1 b1 b1!", "ba"),
    ],
    ids=["as they came", "claims first", "failing last", "users in turn", "once each"],
)
def test_jobs_take_turns(calls: str, waiting: str, order: str) -> None:
    queue = ProbeQueue()
    play(queue, calls)
    for each in waiting.split():
        queue.enqueue(each[0], int(each[1]), claimed=each.endswith("!"))
    called = [queue.take_next(NOW) for _ in order]
    assert called == list(order)
    assert (queue.take_next(NOW), bool(queue)) == (None, False)


def test_a_failing_job_may_not_come_before_its_turn() -> None:
    queue = ProbeQueue()
    play(queue, "a-")
    assert queue.allows("a")
    queue.enqueue("a", 1, claimed=False)
    queue.enqueue("b", 1, claimed=False)
    turns = [(queue.take_next(NOW), queue.allows("a"), queue.allows("c")) for _ in range(3)]
    assert turns == [("b", False, True), ("a", True, True), (None, True, True)]


def test_after_an_answer_all_the_others_still_get_their_turns() -> None:
    queue = ProbeQueue()
    play(queue, "a-")
    for job_id in ("a", "b", "c", "d"):
        queue.enqueue(job_id, 1, claimed=False)
    assert queue.take_next(NOW) == "b"
    play(queue, "b+ c+")
    assert queue.allows("a")
    assert [queue.take_next(NOW) for _ in range(3)] == ["d", "a", None]


def test_who_is_called_has_time_to_come() -> None:
    queue = ProbeQueue()
    play(queue, "a- b-")
    for job_id in ("a", "b"):
        queue.enqueue(job_id, 1, claimed=False)
    assert (queue.take_next(NOW), queue.next_call_at) == ("a", NOW + probe_queue.TURN_SECONDS)
    play(queue, "a-")
    assert queue.next_call_at == 0.0


def test_a_job_that_is_passed_over_leaves_the_turn_to_its_user() -> None:
    queue = ProbeQueue()
    for job_id, user_id in (("a", 1), ("b", 1), ("c", 2)):
        queue.enqueue(job_id, user_id, claimed=False)
    assert queue.take_next(NOW) == "a"
    queue.give_back()
    assert (queue.next_call_at, queue.take_next(NOW), queue.take_next(NOW)) == (0.0, "b", "c")


def test_only_so_many_failing_jobs_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_queue, "MAX_FAILING", 2)
    queue = ProbeQueue()
    play(queue, "a- b- c-")
    assert [job_id for job_id in "abc" if queue.is_failing(job_id)] == ["b", "c"]
