"""The pages about commands, settings and metrics match the code."""

import re
from types import ModuleType
from typing import Any

import pytest
from pydantic.fields import FieldInfo

from receiver.settings import ServeSettings
from tests.docs import command_reference, metrics_reference, settings_reference
from tests.docs.pages import README


@pytest.mark.parametrize(
    "page",
    [command_reference, metrics_reference, settings_reference],
    ids=["commands", "metrics", "settings"],
)
def test_a_generated_page_is_current(page: ModuleType) -> None:
    """`python -m` and the module's name renews the page."""
    assert page.FILE.read_text() == page.reference()


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
