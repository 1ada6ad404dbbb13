"""A late callback changes a job that is finished."""

from unittest.mock import patch

from receiver.domain import serialization
from tests.simulation.known_bad.variant import Variant

VARIANT = Variant(
    lambda: patch.object(serialization, "is_self_declared", lambda job: job.done),
    caught_by=("final is final, but for one correction by the provider",),
    first=30,
)
