"""The command as its users give it: a process of its own, in a folder of its own."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import pytest

from receiver.cli.main import main

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "receiver")
PATIENCE = 30

MOVIE: dict[str, Any] = {
    "kind": "create_movie",
    "input": {
        "prompt": "A kite over the dunes",
        "image_model": "IMAGEN3",
        "video_model": "LUMA",
        "duration": 10,
    },
}


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        assert self.status == 0, self.err
        return json.loads(self.out)


@dataclass
class Place:
    """A working folder, and the environment of the commands in it."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)
    """Variables that are none of ours."""

    def environment(self) -> dict[str, str]:
        ours = {f"RECEIVER_{name}": value for name, value in self.settings.items()}
        path = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"}
        return path | self.others | ours

    def run(self, *words: str, given: str = "") -> Done:
        """Give one command, and wait for its end.

        What serves sets up the whole process for that, and gets one of its own; the others run in
        this one, which is a second quicker and shows what they leave open.
        """
        if words and words[0] in ("serve", "sandbox", "demo"):
            process = self.start(*words)
            out, err = process.communicate(timeout=PATIENCE)
            done = Done(process.returncode, out, err)
        else:
            done = self._run_here(words, given)
        assert "Traceback" not in done.err
        return done

    def _run_here(self, words: tuple[str, ...], given: str) -> Done:
        out, err = io.StringIO(), io.StringIO()
        status: object = None
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.chdir(self.folder)
            for name in [name for name in os.environ if name.startswith("RECEIVER_")]:
                patch.delenv(name)
            for name, value in self.environment().items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["receiver", *words])
            patch.setattr(sys, "stdin", io.StringIO(given))
            try:
                main()
            except SystemExit as ended:
                status = ended.code
        assert status is None or isinstance(status, int)
        return Done(status or 0, out.getvalue(), err.getvalue())

    def start(self, *words: str, **pipes: Any) -> subprocess.Popen[str]:
        """Give a command, and leave it running."""
        streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | pipes
        return subprocess.Popen(
            [*COMMAND, *words],
            cwd=self.folder,
            env=self.environment(),
            encoding="utf-8",
            stdin=subprocess.DEVNULL,
            **streams,
        )

    def with_settings(self, **settings: str) -> Self:
        """The same folder, with other settings on top."""
        return replace(self, settings=self.settings | settings)

    @contextmanager
    def serving(self, command: str = "serve") -> Iterator["Served"]:
        """A `serve` of this place, from its first log line to its end."""
        log = (self.folder / f"{command}.log").open("w+", encoding="utf-8")
        process = self.start(command, "--port", self.settings.get("PORT", "0"), stderr=log)
        try:
            url = _address(process, Path(log.name))
            yield Served(self.with_settings(URL=url), process, url, Path(log.name))
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.communicate(timeout=PATIENCE)
            log.close()


@dataclass
class Served:
    """A service that runs."""

    place: Place
    process: subprocess.Popen[str]
    url: str
    log: Path

    @property
    def port(self) -> str:
        return self.url.rpartition(":")[2]

    def log_lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text("utf-8").splitlines()]

    def new_key(self, user: str) -> str:
        key = self.place.run("keys", "create", user, "--json").json()["key"]
        assert isinstance(key, str)
        return key

    def as_user(self, user: str) -> Place:
        """The place, with a fresh key of the user."""
        return self.place.with_settings(API_KEY=self.new_key(user))


def _address(process: subprocess.Popen[str], log: Path) -> str:
    """The address in the log line that says so; waits for it by reading on."""
    with log.open(encoding="utf-8") as reading:
        line = ""
        while process.poll() is None:
            line += reading.readline()
            if line.endswith("\n"):
                told = json.loads(line)
                if str(told["event"]).startswith("serving"):
                    return str(told["url"])
                line = ""
            else:
                time.sleep(0.005)  # the processor is for the one who starts
    raise AssertionError(f"it did not start: {log.read_text('utf-8')}")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty folder; nothing is served from it."""
    return Place(tmp_path, {"PROVIDER": "sandbox"})


def _session_place(factory: pytest.TempPathFactory, render: str) -> Place:
    settings = {
        "PROVIDER": "sandbox",
        "SANDBOX_RENDER": render,
        "RELAY_ALLOW_HTTP": "true",
        "RELAY_ALLOW_NETS": "127.0.0.0/8",
    }
    return Place(factory.mktemp("served"), settings)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service with a quick sandbox, which the tests of a session share."""
    with _session_place(tmp_path_factory, "0.4").serving() as service:
        yield service


@pytest.fixture(scope="session")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service whose jobs go on for longer than any test."""
    with _session_place(tmp_path_factory, "10000").serving() as service:
        yield service
