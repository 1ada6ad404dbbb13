"""Progress is whatever was heard last."""

from dataclasses import replace
from typing import Any
from unittest.mock import patch

from receiver.domain import claims, outcomes
from tests.simulation.known_bad.plans import progress_that_falls
from tests.simulation.known_bad.variant import Variant

_apply = outcomes.apply_progress


def _as_it_comes(draft: Any, report: Any, evidence: Any) -> None:
    if report.progress is not None:
        draft.job = replace(draft.job, progress=0.0)
    _apply(draft, report, evidence)


VARIANT = Variant(
    lambda: patch.object(claims, "apply_progress", _as_it_comes),
    caught_by=("progress never falls",),
    plan=progress_that_falls,
)
