"""The readers on known inputs, and on a few thousand new ones; `python -m tests.fuzz` runs more."""

import pytest

from tests.fuzz.__main__ import fuzz
from tests.fuzz.readers import READERS, first_inputs

CASES = 5_000


@pytest.mark.parametrize("reader", READERS)
def test_a_reader_takes_or_refuses_whatever_was_found(reader: str) -> None:
    inputs = first_inputs(reader)
    assert inputs
    for given in inputs:
        READERS[reader](given)


@pytest.mark.attack
@pytest.mark.timeout(120)
@pytest.mark.parametrize("reader", READERS)
def test_no_new_input_makes_a_reader_fail(reader: str) -> None:
    done, failed, _ = fuzz(reader, CASES)
    assert (done, failed) == (CASES, 0)
