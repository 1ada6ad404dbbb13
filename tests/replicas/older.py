"""The last release before the newest migrations, from this repository's history."""

import subprocess
import tomllib
from pathlib import Path

from tests.crash.processes import ROOT

CHANGELOG = "CHANGELOG.md"
MIGRATIONS = "store/postgres/migrations"
PARTS = ("receiver", "store", "pyproject.toml")


def older_sources(folder: Path) -> Path | None:
    """Put the sources of the newest release that lacks the newest migration below the folder; None
    if there is none. A release is a commit whose changelog has nothing unreleased."""
    newest = max(file.name for file in (ROOT / MIGRATIONS).iterdir())
    for commit in _git("rev-list", "--date-order", "HEAD", "--", CHANGELOG).split():
        names = _git("ls-tree", "--name-only", commit, f"{MIGRATIONS}/")
        is_release = "[Unreleased]" not in _git("show", f"{commit}:{CHANGELOG}")
        if is_release and names and newest not in names:
            older = folder / "older"
            older.mkdir()
            archive = folder / "older.tar"
            _git("archive", f"--output={archive}", commit, *PARTS)
            subprocess.run(["tar", "-xf", archive, "-C", older], check=True)
            _describe(older)
            return older
    return None


def _describe(folder: Path) -> None:
    """Add the metadata of an installed package: the service reads its own version from it."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    metadata = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir()
    header = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (metadata / "METADATA").write_text(header.format_map(project))


def _git(*arguments: str) -> str:
    """The output of git; empty if there is no repository."""
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
