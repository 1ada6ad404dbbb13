"""The published packages, built and installed into an environment that has nothing else."""

import json
import os
import re
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("receiver", "store")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with everything that a release publishes."""
    folder = tmp_path_factory.mktemp("dist")
    run(ROOT / ".ci" / "dist", folder)
    return folder


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """The output of a command; if the command fails, the test fails with that output."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=cwd, env=inherited, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def sources() -> set[str]:
    """Every file of the packages, by its path from the root."""
    return {
        str(file.relative_to(ROOT))
        for package in PACKAGES
        for file in (ROOT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


def test_the_packages_hold_our_sources_and_nothing_else(built: Path) -> None:
    [wheel], [sdist] = built.glob("*.whl"), built.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == sources()
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    held = {name for name in held if (ROOT / name).is_file() and ".egg-info" not in name}
    assert held == sources() | {"LICENSE", "MANIFEST.in", "README.md", "pyproject.toml"}


def test_the_bill_of_materials_names_what_is_locked(built: Path) -> None:
    bill = json.loads((built / "sbom.cdx.json").read_text())
    lines = re.findall(
        r"^([\w.-]+==[\w.]+)(?: ; (.*))? \\$",
        (ROOT / "requirements.lock").read_text(),
        re.MULTILINE,
    )
    locked = [name for name, marker in lines if not marker or Marker(marker).evaluate()]
    named = [f"{each['name']}=={each['version']}" for each in bill["components"]]
    assert len(locked) > 20
    assert {*map(canonicalize_name, named)} == {*map(canonicalize_name, locked)}
    assert bill["metadata"]["component"]["name"] == "job-receiver"
    assert str(Path.home()) not in json.dumps(bill)


def test_the_hashes_are_those_of_the_files(built: Path) -> None:
    printed = run("sha256sum", "--check", "SHA256SUMS", cwd=built)
    assert printed.count(": OK\n") == len([*built.iterdir()]) - 1 == 3


def python(version: str) -> str:
    """The interpreter of a version; skips if this machine has none."""
    command = shutil.which(f"python{version}")
    if command is not None:
        # A version manager's command needs to know which version is meant; other commands ignore
        # this.
        environment = os.environ | {"PYENV_VERSION": version}
        asked = [command, "-c", "import sys; print(sys.executable)"]
        done = subprocess.run(asked, env=environment, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout.strip()
    pytest.skip(f"there is no Python {version} here")


@pytest.mark.parametrize(
    ("kind", "version"), [("*.tar.gz", PYTHONS[0]), *(("*.whl", version) for version in PYTHONS)]
)
def test_the_demo_runs_from_an_empty_environment(
    built: Path, kind: str, version: str, tmp_path: Path
) -> None:
    [package] = built.glob(kind)
    run(python(version), "-m", "venv", tmp_path / "venv")
    binaries = tmp_path / "venv" / "bin"
    run(binaries / "pip", "install", "--quiet", package)
    run(binaries / "pip", "check")

    printed = run(binaries / "receiver", "demo", "--exit", "--port", "0", cwd=tmp_path)

    assert "COMPLETED" in printed
    assert run(binaries / "receiver", "--version", cwd=tmp_path)
