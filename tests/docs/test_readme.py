"""The README's integration is one script, which runs here unchanged in a folder of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import README, blocks
from tests.support.ports import free_port

INSTALL = "python3 -m venv .venv && .venv/bin/pip install -e . && . .venv/bin/activate"
TEST_LINE = "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' && .venv/bin/pytest\n"
DEMO_LINE = "python3 -m venv .venv && .venv/bin/pip install -e . && .venv/bin/receiver demo\n"


def script() -> str:
    section = README.read_text().partition("\n## Integrate in five minutes\n")[2]
    commands = blocks(section.partition("\n## ")[0], "sh")
    assert len(commands) == 7
    return "".join(commands)


def run(text: str, folder: Path, **environment: str) -> str:
    """The script's output. The script stops with an error at its first command that fails."""
    for tool in ("bash", "curl"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed here")
    service, hook = free_port(), free_port()
    text = text.replace("127.0.0.1:8000", f"127.0.0.1:{service}")
    text = text.replace("127.0.0.1:9000", f"127.0.0.1:{hook}").replace("9000)", f"{hook})")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RECEIVER_")}
    done = subprocess.run(
        # Whatever happens, it leaves no program running.
        ["bash", "-euo", "pipefail", "-c", f"trap 'kill $(jobs -p) 2>/dev/null' EXIT\n{text}"],
        cwd=folder,
        env=kept | {"RECEIVER_PORT": str(service), "no_proxy": "*"} | environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def check(output: str) -> None:
    lines = output.splitlines()
    lines = lines[lines.index('{"status":"ok"}') :]  # skip what pip prints
    assert lines[1].startswith('{"request_id":"job_')
    events = [line for line in lines if line.startswith("event: ")]
    assert events[0] == "event: snapshot"
    assert "event: update" in events
    assert events[-1] == "event: done"
    assert any(
        line.startswith('{"webhook_id":"msg_') and '"status_code":204' in line for line in lines
    )
    assert any(line.startswith("verified job.completed job_") for line in lines)
    assert lines[-1].startswith("COMPLETED {'videoUrl': ")


@pytest.mark.timeout(300)  # longer than the script's own limit, which shows how far it came
def test_the_readme_from_top_to_bottom(tmp_path: Path) -> None:
    """Without the installation: the package is installed from this folder already."""
    text = script()
    assert INSTALL in text
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    text = text.replace(INSTALL, ":").replace("SANDBOX_RENDER=3", "SANDBOX_RENDER=0.5")
    check(run(text, tmp_path, PATH=path))


def test_the_first_commands_are_these() -> None:
    assert blocks(README.read_text(), "sh")[:2] == [DEMO_LINE, TEST_LINE]
