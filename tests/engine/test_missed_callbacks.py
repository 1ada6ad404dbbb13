"""The memory of callbacks that we refused through a fault of our own."""

import pytest

from receiver.engine import missed_callbacks
from receiver.engine.missed_callbacks import MissedCallbacks
from receiver.signed_text import CallbackTokens

TOKENS = CallbackTokens(["a secret of the tests"])
TOKEN = TOKENS.sign("samsar", "job_1")


@pytest.mark.parametrize(
    ("target", "remembered"),
    [
        (f"/webhooks/samsar/{TOKEN}", ["job_1"]),
        (f"/webhooks/samsar/{TOKEN}?attempt=2", ["job_1"]),
        (f"/webhooks/fal/{TOKEN}", []),
        (f"/webhooks/samsar/{TOKEN}x", []),
        (f"/webhooks/{TOKEN}", []),
        (f"/v1/samsar/{TOKEN}", []),
        ("/webhooks/", []),
        ("/webhooks/samsar/\xff", []),
    ],
)
def test_a_shed_request_counts_if_its_token_is_good(target: str, remembered: list[str]) -> None:
    missed = MissedCallbacks(TOKENS)
    missed.add_shed(target.encode("latin-1"))
    assert missed.first(9) == remembered


def test_each_job_is_remembered_once_and_the_oldest_comes_first() -> None:
    missed = MissedCallbacks(TOKENS)
    for job_id in ("job_1", "job_2", "job_1", "job_3"):
        missed.add(job_id)
    assert missed.first(2) == ["job_1", "job_2"]
    missed.remove(["job_1", "job_1"])
    assert missed.first(9) == ["job_2", "job_3"]


def test_a_rush_of_them_is_bounded_and_costs_no_verification(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    missed = MissedCallbacks(TOKENS)
    for number in range(missed_callbacks.MAX_MISSED + 1):
        missed.add(f"job_{number}")
    assert len(missed.first(10_000)) == missed_callbacks.MAX_MISSED

    monkeypatch.setattr(TOKENS, "verify", None)
    missed.add_shed(f"/webhooks/samsar/{TOKEN}".encode())
