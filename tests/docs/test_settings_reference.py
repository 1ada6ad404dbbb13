"""The pages about settings and metrics match the code."""

import re
from typing import Any

import pytest
from pydantic.fields import FieldInfo

from receiver.settings import ServeSettings
from tests.docs import metrics_reference, settings_reference
from tests.docs.pages import README


def test_the_reference_is_current() -> None:
    """`python -m tests.docs.settings_reference` renews the page."""
    assert settings_reference.FILE.read_text() == settings_reference.reference()


def test_the_list_of_metrics_is_current() -> None:
    """`python -m tests.docs.metrics_reference` renews the page."""
    assert metrics_reference.FILE.read_text() == metrics_reference.reference()


def readme_rows() -> dict[str, str]:
    """By setting: the default in its row."""
    section = README.read_text().partition("\n## Settings\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:3] for line in section.splitlines() if line.startswith("| `")]
    return {name: default for names, default in rows for name in re.findall(r"`(\w+)`", names)}


def test_the_readme_names_every_setting() -> None:
    assert set(readme_rows()) == {name.upper() for name in ServeSettings.model_fields}


@pytest.mark.parametrize(("name", "field"), ServeSettings.model_fields.items())
def test_the_readme_has_its_default(name: str, field: FieldInfo) -> None:
    default: Any = field.default
    if field.default_factory is None and default not in (None, ()):
        words = re.split(r"[`;\s]+|, ", readme_rows()[name.upper()])
        assert settings_reference.as_text(default) in words
