"""Runs commands as users do, each in a folder of its own."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any, Self

import pytest
import typer

from receiver.cli.main import main
from tests.support.forked import CommandResult, ForkedProcess, run
from tests.support.programs import running
from tests.support.service import JOB

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "receiver")
TIMEOUT = 30


@dataclass
class Workspace:
    """A working directory, and the environment of the commands in it."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)
    """Variables without the prefix."""

    def environment(self) -> dict[str, str]:
        ours = {f"RECEIVER_{name}": value for name, value in self.settings.items()}
        path = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"}
        return path | self.others | ours

    def run(self, *arguments: str, stdin: str = "") -> CommandResult:
        """Run one command to its end.

        Commands that serve configure the whole process, so they get their own; the others run in
        this one, which is faster and shows what they leave open.
        """
        if arguments and arguments[0] in ("serve", "sandbox", "demo"):
            environment = self.environment()
            done = run(*arguments, environment=environment, folder=self.folder, timeout=TIMEOUT)
        else:
            done = self._run_here(arguments, stdin)
        assert "Traceback" not in done.err
        return done

    def _run_here(self, arguments: tuple[str, ...], stdin: str) -> CommandResult:
        out, err = io.StringIO(), io.StringIO()
        status: object = None
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.chdir(self.folder)
            for name in [name for name in os.environ if name.startswith("RECEIVER_")]:
                patch.delenv(name)
            for name, value in self.environment().items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["receiver", *arguments])
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), "latin-1"))
            try:
                main()
            except SystemExit as ended:
                status = ended.code
        assert status is None or isinstance(status, int)
        return CommandResult(status or 0, out.getvalue(), err.getvalue())

    def running(self, *arguments: str) -> AbstractContextManager[subprocess.Popen[str]]:
        """Start a command as its users do; it ends with the block, if not before."""
        return running(
            [*COMMAND, *arguments],
            cwd=self.folder,
            env=self.environment(),
            encoding="utf-8",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def fork(self, *arguments: str, out: Path, err: Path, **variables: str) -> ForkedProcess:
        """Like `running`, but faster: the process is forked."""
        environment = self.environment() | variables
        return ForkedProcess(
            *arguments, environment=environment, folder=self.folder, out=out, err=err
        )

    def with_settings(self, **settings: str) -> Self:
        """The same directory, with more settings."""
        return replace(self, settings=self.settings | settings)

    @contextmanager
    def serving(self, command: str = "serve") -> Iterator["Served"]:
        """Serve in this workspace while the block runs."""
        log = self.folder / f"{command}.log"
        log.write_text("")
        with self.fork(command, "--port", "0", out=Path(os.devnull), err=log) as process:
            url = _address(process, log)
            try:
                yield Served(self.with_settings(URL=url), process, url, log)
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(TIMEOUT)


@dataclass
class Served:
    """A running service."""

    workspace: Workspace
    process: ForkedProcess
    url: str
    log: Path

    def log_lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text("utf-8").splitlines()]

    def new_key(self, user: str, *options: str) -> str:
        key = self.workspace.run("keys", "create", user, "--json", *options).json()["key"]
        assert isinstance(key, str)
        return key

    def as_user(self, user: str, *options: str) -> Workspace:
        """The workspace, with a new key of the user; `options` are those of `keys create`."""
        return self.workspace.with_settings(API_KEY=self.new_key(user, *options))


def submit_movie(workspace: Workspace, **members: object) -> str:
    """Submit `JOB` with these members; returns the job's id."""
    done = workspace.run("submit", "-", stdin=json.dumps(JOB | members))
    assert done.status == 0, done.err
    return done.out.strip()


def _address(process: ForkedProcess, log: Path) -> str:
    """The address in the log's line "serving"; waits for it."""
    with log.open(encoding="utf-8") as reading:
        line = ""
        while process.poll() is None:
            line += reading.readline()
            if line.endswith("\n"):
                printed = json.loads(line)
                if str(printed["event"]).startswith("serving"):
                    return str(printed["url"])
                line = ""
            else:
                time.sleep(0.005)
    raise AssertionError(f"it did not start: {log.read_text('utf-8')}")


@dataclass
class Call:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class StubServer:
    """A provider, a webhook receiver or a collector that answers every request in the same way."""

    status: int
    headers: dict[str, str]
    url: str = ""
    calls: Queue[Call] = field(default_factory=Queue)
    close: Callable[[], None] = field(init=False)
    """Listen no more."""


@contextmanager
def stub_server(
    status: int = 204, headers: Mapping[str, str] | None = None
) -> Iterator[StubServer]:
    """A server in a thread while the block runs; its answers are `{}`."""
    found = StubServer(status, dict(headers or {}))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers["Content-Length"] or 0)
            found.calls.put(Call(self.path, dict(self.headers), self.rfile.read(length)))
            self.send_response_only(found.status)
            body = b"" if found.status == 204 else b"{}"
            usual = {"Date": self.date_time_string(), "Content-Length": str(len(body))}
            for name, value in (usual | found.headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_port}"
        found.close = server.server_close
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="session", autouse=True)
def commands_described_once() -> Iterator[None]:
    """Typer reads all functions and their options at each start, which here is at each command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("typer.main.get_command", cache(typer.main.get_command))
        yield


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """An empty directory; nothing is served from it."""
    return Workspace(tmp_path, {"PROVIDER": "sandbox"})


def _session_workspace(factory: pytest.TempPathFactory, render: str) -> Workspace:
    settings = {
        "PROVIDERS": "sandbox,sandbox-replicate",
        "PROVIDER": "sandbox",
        "SANDBOX_RENDER": render,
        "RELAY_ALLOW_HTTP": "true",
        "RELAY_ALLOW_NETS": "127.0.0.0/8",
    }
    return Workspace(factory.mktemp("served"), settings)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service with quick jobs, shared by the session's tests."""
    with _session_workspace(tmp_path_factory, "0.4").serving() as service:
        yield service


@pytest.fixture(scope="session")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service whose jobs take longer than any test."""
    with _session_workspace(tmp_path_factory, "10000").serving() as service:
        yield service
