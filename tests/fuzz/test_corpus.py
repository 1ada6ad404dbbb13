"""What fuzzing has found worth keeping, read again: a reader fails on none of it."""

import pytest

from tests.fuzz.corpus import kept
from tests.fuzz.readers import EXAMPLES, READERS


@pytest.mark.parametrize("reader", READERS)
def test_a_reader_takes_or_refuses_whatever_comes(reader: str) -> None:
    inputs = [*kept(reader), *EXAMPLES.get(reader, [])]
    assert inputs
    for given in inputs:
        READERS[reader](given)
