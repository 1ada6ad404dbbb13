"""A real nginx with one worker, in a folder of its own, for tests and benchmarks that need one."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.programs import running

_CONFIG = """
{modules}
worker_processes 1;
error_log stderr error;
pid {folder}/nginx.pid;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  {http}
}}
"""


def needs_nginx() -> None:
    """Skip the test if nginx is not installed."""
    if shutil.which("nginx") is None:
        pytest.skip("nginx is not installed here")


@contextmanager
def nginx(folder: Path, http: str, *, modules: str = "") -> Iterator[subprocess.Popen[str]]:
    """Run it with these directives in its `http` block, until the block is left."""
    text = _CONFIG.format(modules=modules, folder=folder, http=http)
    with nginx_by(folder, text) as process:
        yield process


@contextmanager
def nginx_by(
    folder: Path, text: str, *, error_log: str = "stderr"
) -> Iterator[subprocess.Popen[str]]:
    """Run nginx with this complete configuration, whose `pid` is in `folder`, until the block is
    left.

    `error_log` is the file for errors that the configuration sends nowhere else.
    """
    config = folder / "nginx.conf"
    config.write_text(text)
    command = ["nginx", "-c", str(config), "-e", error_log, "-g", "daemon off;"]
    with running(command) as process:
        until = time.monotonic() + 30
        while not (folder / "nginx.pid").exists():
            assert process.poll() is None, "nginx refused its configuration"
            assert time.monotonic() < until
            time.sleep(0.02)
        yield process
