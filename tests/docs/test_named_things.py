"""What the pages name is there: tests, modules and error codes."""

import re
from pathlib import Path

import pytest

from store.records import ErrorCode
from tests.docs.pages import PAGES, ROOT

DEFINED = {
    name
    for file in (ROOT / "tests").rglob("*.py")
    for name in re.findall(r"def (test_\w+)", file.read_text())
}
FILES = {
    str(file.relative_to(ROOT))
    for folder in ("receiver", "store", "tests", "deploy", "docs")
    for file in (ROOT / folder).rglob("*")
}
CODES = "".join(file.read_text() for file in (ROOT / "receiver").rglob("*.py"))


@pytest.mark.parametrize("page", PAGES[:1] + PAGES[2:], ids=lambda page: page.name)
def test_tests_and_files_that_are_named_exist(page: Path) -> None:
    text = page.read_text()
    tests = set(re.findall(r"`(test_\w+)`", text))
    assert tests - DEFINED == set()
    named = set(re.findall(r"`([\w/]+/[\w/]+\.(?:py|sql|md|txt|js))`", text))
    here = {file for file in named if any(each.endswith(f"/{file}") for each in FILES)}
    assert named - here - FILES == set()


def test_every_code_that_is_explained_is_given() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    refusals = re.findall(r"^\| \d{3} `([a-z_]+)`", page, re.MULTILINE)
    assert len(refusals) > 10
    given = CODES + "".join(f'"{code}"' for code in ErrorCode)
    assert [code for code in refusals if f'"{code}"' not in given] == []
    assert [code for code in ErrorCode if f"`{code}`" not in page] == []
