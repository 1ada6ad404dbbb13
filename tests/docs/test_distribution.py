"""What is installed from this folder, and what pages and messages say to install."""

import re
from importlib.metadata import distribution
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT

SAYING = [*PAGES, ROOT / "Dockerfile", *(ROOT / "deploy").glob("*.yaml")]
SAYING += [*(ROOT / "receiver").rglob("*.py"), *(ROOT / "store").rglob("*.py")]


def test_the_distribution_has_a_name_of_its_own() -> None:
    """`receiver` on the public index is a stranger's package; the command keeps the name."""
    [command] = distribution("job-receiver").entry_points.select(group="console_scripts")
    assert (command.name, command.value) == ("receiver", "receiver.cli.main:main")


@pytest.mark.parametrize("file", SAYING, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_page_installs_a_foreign_package(file: Path) -> None:
    told = re.findall(r"pip install[^\n`]*", file.read_text("utf-8"))
    assert [line for line in told if re.search(r"(?<![\w./-])(job-)?receiver\b", line)] == []
