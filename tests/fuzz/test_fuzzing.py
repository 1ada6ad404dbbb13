"""A few thousand new inputs for each reader; `python -m tests.fuzz` goes on from there."""

import pytest

from tests.fuzz.__main__ import fuzz
from tests.fuzz.readers import READERS

CASES = 5_000


@pytest.mark.attack
@pytest.mark.timeout(120)
@pytest.mark.parametrize("reader", READERS)
def test_no_new_input_makes_a_reader_fail(reader: str) -> None:
    assert fuzz(reader, CASES, keep=False) == (CASES, 0)
