"""Whatever the pages link to, name or install exists."""

import re
from importlib.metadata import distribution
from pathlib import Path

import pytest

from store.records.jobs import ErrorCode
from tests.docs.pages import PAGES, ROOT, anchors, links

NAMES = [page.name for page in PAGES]
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
SOURCES = [*(ROOT / "receiver").rglob("*.py"), *(ROOT / "store").rglob("*.py")]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    lost = []
    for link in links(page):
        if link.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(link)
    assert lost == []


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_tests_and_files_that_are_named_exist(page: Path) -> None:
    text = page.read_text()
    tests = set(re.findall(r"`(test_\w+)`", text)) - {"test_under_way"}  # an error code
    assert tests - DEFINED == set()
    named = set(re.findall(r"`([\w/]+/[\w/]+\.(?:py|sql|md|txt|js))`", text))
    here = {file for file in named if any(each.endswith(f"/{file}") for each in FILES)}
    assert named - here - FILES == set()


def test_every_error_code_is_explained() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    code = "".join(file.read_text() for file in SOURCES)
    refusals = set(re.findall(r'(?:Problem|problem|_response|_refuse)\(\s*\d{3},\s*"(\w+)"', code))
    assert len(refusals) > 30
    assert [code for code in refusals | {*ErrorCode} if f"`{code}`" not in page] == []
    explained = re.findall(r"`([a-z]+(?:_[a-z]+)+)`", page.partition("## A job does not end")[0])
    assert {*explained} - refusals - {*ErrorCode} - {"request_id"} == set()


def test_the_distribution_has_a_name_of_its_own() -> None:
    """`receiver` on PyPI is another project; only our command has that name."""
    [command] = distribution("job-receiver").entry_points.select(group="console_scripts")
    assert command.name == "receiver"


def test_nothing_says_to_install_another_project() -> None:
    for file in [*PAGES, ROOT / "Dockerfile", *(ROOT / "deploy").glob("*.yaml"), *SOURCES]:
        for command in re.findall(r"pip install[^\n`]*", file.read_text("utf-8")):
            assert not re.search(r"(?<![\w./-])(job-)?receiver\b", command), file
