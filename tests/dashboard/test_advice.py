"""The page's advice on failures covers the error codes that exist."""

import re
from importlib.resources import files

from receiver.webhooks import network
from store.records.jobs import ErrorCode

ADVICE = (files("receiver.dashboard") / "static" / "advice.js").read_text("utf-8")


def codes(name: str) -> set[str]:
    """The keys of an object in advice.js."""
    found = re.search(rf"^const {name} = \{{\n(.*?)^\}};", ADVICE, re.MULTILINE | re.DOTALL)
    assert found
    return set(re.findall(r"^  (\w+):", found[1], re.MULTILINE))


def test_every_attempt_without_a_status_has_advice() -> None:
    words = re.findall(r"`(\w+)", network.failure_code.__doc__ or "")
    assert "connect_failed" in words
    # The word for a refused target is followed by its own advice.
    assert codes("NO_STATUS") == set(words) - {"refused_target"}


def test_advice_on_jobs_is_about_known_codes() -> None:
    assert codes("JOB") < set(ErrorCode)
