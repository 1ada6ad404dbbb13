"""The providers' own clients, each in an environment of its own outside of the project.

They are kept in the folder that `CLIENTS_FOLDER` names, by default in the folder of temporary
files, until their versions change.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SCRIPTS = Path(__file__).with_name("scripts")
ROOT = Path(__file__).resolve().parents[2]
INSTALL_SECONDS = 120


class Missing(Exception):
    """A client cannot be installed here; says why."""


@dataclass(frozen=True)
class Client:
    """One of the clients, and the script that drives it."""

    name: str
    """As docs/clients.md has it."""
    api: str
    """The provider whose API it speaks."""
    script: str
    packages: tuple[str, ...]
    needs_tls: bool = False
    orders: tuple[str, ...] = ("orders",)
    """The calls that order jobs, each in its own way."""

    @property
    def is_python(self) -> bool:
        return self.script.endswith(".py")


CLIENTS = (
    Client("Python: replicate 1.0.7", "replicate", "replicate_1.py", ("replicate==1.0.7",)),
    Client("Python: replicate 2.0.0b4", "replicate", "replicate_2.py", ("replicate==2.0.0b4",)),
    Client("npm: replicate 1.4.0", "replicate", "replicate.mjs", ("replicate@1.4.0",)),
    Client(
        "AI SDK 7.0.173",
        "replicate",
        "ai_sdk.mjs",
        ("ai@7.0.173", "@ai-sdk/replicate@3.0.46"),
        orders=("orders of images", "orders of videos"),
    ),
    Client(
        "Python: fal-client 1.0.3", "fal", "python_fal.py", ("fal-client==1.0.3",), needs_tls=True
    ),
    Client("npm: @fal-ai/client 1.10.1", "fal", "fal.mjs", ("@fal-ai/client@1.10.1",)),
)


def command(client: Client) -> tuple[str, ...]:
    """What runs the client's script."""
    folder = environment(client)
    if client.is_python:
        return (str(folder / "bin" / "python"), "-m", f"tests.clients.scripts.{client.script[:-3]}")
    # Node looks for packages beside the script.
    for script in SCRIPTS.glob("*.mjs"):
        shutil.copy(script, folder)
    return ("node", str(folder / client.script))


def example(client: Client, code: str) -> tuple[str, ...]:
    """What runs this program of the client."""
    folder = environment(client)
    if client.is_python:
        return (str(folder / "bin" / "python"), "-c", code)
    (folder / "example.mjs").write_text(code)
    return ("node", str(folder / "example.mjs"))


@cache
def environment(client: Client) -> Path:
    """Where the client is installed; installs it if that was not done before.

    Raises:
        Missing: Node, npm or the packages cannot be had here.
    """
    kept = os.environ.get("CLIENTS_FOLDER") or f"{tempfile.gettempdir()}/receiver-clients"
    folder = Path(kept) / "+".join(each.replace("/", "_") for each in client.packages)
    done = folder / "installed"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (_install_python if client.is_python else _install_node)(client, folder)
        done.touch()
    return folder


def _install_python(client: Client, folder: Path) -> None:
    _run([sys.executable, "-m", "venv", str(folder)])
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--retries=1"]
    _run([*pip, "--disable-pip-version-check", *client.packages])


def _install_node(client: Client, folder: Path) -> None:
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise Missing(f"{program} is not installed here")
    install = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--silent"]
    _run([*install, *client.packages])


def _run(line: list[str]) -> None:
    try:
        subprocess.run(line, check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except subprocess.SubprocessError as error:
        raise Missing(f"`{' '.join(line)}` failed: {getattr(error, 'stderr', error)}") from None
