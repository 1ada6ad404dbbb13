"""All subjects of the conformance suite."""

from collections.abc import Callable

import pytest

from tests.described import shapes
from tests.providers.conformance.subjects import BUILT_IN, MINIMAL, Subject

SUBJECTS = (*BUILT_IN, MINIMAL, *shapes.SUBJECTS)


def each_subject(which: Callable[[Subject], bool] = lambda _: True) -> pytest.MarkDecorator:
    """Run a test for each subject of this sort."""
    found = [subject for subject in SUBJECTS if which(subject)]
    return pytest.mark.parametrize("subject", found, ids=lambda each: str(each.name))
