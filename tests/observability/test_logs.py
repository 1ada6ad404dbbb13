"""The log's format, and redaction."""

import errno
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from receiver.telemetry import logs
from tests.support.service import running_service

KEY = "rk_" + "Ab-_9" * 8 + "xyz"
TOKEN = "eyJqb2IiOiJqb2JfMDEifQ.c2lnbmF0dXJl-_x"


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    monkeypatch.setattr(logs, "_values", set())
    monkeypatch.setattr(logs, "_values_pattern", None)
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.setLevel(level)
    root.handlers[:] = handlers


@pytest.fixture
def stream(_as_before: None) -> io.StringIO:
    """The log as JSON, unless a test configures it otherwise."""
    stream = io.StringIO()
    logs.configure("json", "info", stream)
    return stream


def only_line(stream: io.StringIO) -> dict[str, Any]:
    [line] = stream.getvalue().splitlines()
    logged = json.loads(line)
    assert isinstance(logged, dict)
    return logged


def test_json_lines_have_the_context(stream: io.StringIO) -> None:
    with structlog.contextvars.bound_contextvars(request_id="r-1"):
        structlog.get_logger().info("job_accepted", job="job_1", seconds=0.5, tries=None)
    logged = only_line(stream)
    assert logged.pop("timestamp").endswith("Z")
    assert logged == {
        "event": "job_accepted",
        "level": "info",
        "request_id": "r-1",
        "job": "job_1",
        "seconds": 0.5,
        "tries": None,
    }


def test_the_format_depends_on_the_terminal(
    stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs.configure(None, "info", stream)
    structlog.get_logger().info("off_a_terminal")
    assert only_line(stream)["event"] == "off_a_terminal"
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)
    logs.configure(None, "info", screen)
    structlog.get_logger().info("on_a_terminal")
    assert "on_a_terminal" in screen.getvalue()
    assert not screen.getvalue().startswith("{")


def test_stdlib_loggers_use_the_same_output(stream: io.StringIO) -> None:
    logs.configure("json", "info", stream)  # configuring it again adds no second handler
    logging.getLogger("uvicorn.error").info("Application startup complete.")
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request: %s", "port 1")
    logging.getLogger("httpx").info("HTTP Request: GET /webhooks/samsar/%s", TOKEN)
    structlog.get_logger().debug("below the level")
    logged = only_line(stream)
    assert (logged["event"], logged["logger"]) == ("Invalid HTTP request: port 1", "uvicorn.error")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"key {KEY} used", "key rk_… used"),
        ("rk_AbCdEfGh is a prefix", "rk_AbCdEfGh is a prefix"),
        ("secret whsec_MfKQ9r8GKYqrTwjU+/PD8ILP== x", "secret whsec_… x"),
        ("Authorization: Bearer abc.def", "Authorization: …"),
        ("{'authorization': 'Basic abc='}", "{'authorization': '…'}"),
        ("[(b'api-key', b'abc'), (b'x', b'y')]", "[(b'api-key', b'…'), (b'x', b'y')]"),
        ('{"API-KEY": "abc", "a": 1}', '{"API-KEY": "…", "a": 1}'),
        ("RECEIVER_SAMSAR_API_KEY=abc", "RECEIVER_SAMSAR_API_KEY=…"),
        ("RECEIVER_SAMSAR_API_KEY, which is not set", "RECEIVER_SAMSAR_API_KEY, which is not set"),
        ("sent bearer abcdefghijklmnopqrst", "sent bearer …"),
        (f"POST /webhooks/samsar/{TOKEN} 200", "POST /webhooks/samsar/… 200"),
        (f"https://h/webhooks/samsar/{TOKEN}?a=b", "https://h/webhooks/samsar/…?a=b"),
        (f"to=https%3A%2F%2Fh%2Fwebhooks%2Fsamsar%2F{TOKEN}&b=c",
         "to=https%3A%2F%2Fh%2Fwebhooks%2Fsamsar%2F…&b=c"),
        ("/v1/events?ticket=abc.def&x=y", "/v1/events?ticket=…&x=y"),
        ("/v1/events?x=y&ticket=abc%2Edef", "/v1/events?x=y&ticket=…"),
        ("postgresql://me:p@ss/w:d@db:5432/r", "postgresql://me:…@db:5432/r"),
        ("postgres://me:word@db/r", "postgres://me:…@db/r"),
        ("host=db user=me password='two words' dbname=r", "host=db user=me password=… dbname=r"),
        ("https://me:word@example.com/a", "https://me:…@example.com/a"),
        ("http://host:80/path?mail=a@b", "http://host:80/path?mail=a@b"),
        ("a tricky job, an ordinary line: done", "a tricky job, an ordinary line: done"),
    ],
)  # fmt: skip
def test_secrets_are_redacted_by_shape(text: str, shown: str) -> None:
    assert logs.redact(text) == shown


def test_secrets_are_redacted_by_value(stream: io.StringIO) -> None:
    logs.redact_values(["operator/key+1", "operator/key+1+longer", "x"])
    structlog.get_logger().info(
        "sent operator/key+1+longer", header="k=operator/key+1", url="?k=operator%2Fkey%2B1"
    )
    logged = only_line(stream)
    assert (logged["event"], logged["header"], logged["url"]) == ("sent …", "k=…", "?k=…")


@pytest.mark.parametrize("at", [0, 3_050, 3_072, 3_090, 4_080, 4_096, 4_110, 9_000, 19_930])
@pytest.mark.parametrize("secret", [KEY, f"https://h/webhooks/samsar/{TOKEN}", "operator/key+1"])
def test_a_secret_at_a_cut_is_redacted_too(secret: str, at: int) -> None:
    """A secret that is cut in two no longer has its shape."""
    logs.redact_values(["operator/key+1"])
    text = "." * at + secret + "." * (20_000 - at - len(secret))
    shown = logs.redact(text)
    assert len(shown) < logs.LONGEST
    assert "… (cut: 20,000 characters in all) …" in shown
    for begin in range(len(secret) - 12):
        hidden = secret[begin : begin + 12]
        assert hidden not in shown or hidden in "https://h/webhooks/samsar/"


class Holder:
    def __repr__(self) -> str:
        return f"Holder({KEY})"


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_nested_values_and_objects_are_redacted(stream: io.StringIO, log_format: Any) -> None:
    logs.configure(log_format, "info", stream)
    structlog.get_logger().info(
        f"event {KEY}",
        deep=[{"a": ({"b": [KEY, KEY.encode()]},)}],
        thing=Holder(),
        headers={"Authorization": "hush", "API_KEY": b"hush", "x": "seen"},
    )
    assert KEY not in stream.getvalue()
    assert "hush" not in stream.getvalue()
    assert "seen" in stream.getvalue()


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("foreign", [False, True])
def test_tracebacks_are_redacted(stream: io.StringIO, log_format: Any, foreign: bool) -> None:
    logs.configure(log_format, "info", stream)
    logger = logging.getLogger("uvicorn.error") if foreign else structlog.get_logger()
    try:
        try:
            raise KeyError(KEY)
        except KeyError as error:
            raise ValueError("at postgresql://me:hush@db/r") from error
    except ValueError:
        logger.exception("failed")
    text = stream.getvalue()
    hidden = r"\u2026" if log_format == "json" else "…"
    assert f"ValueError: at postgresql://me:{hidden}@db/r" in text
    assert f"KeyError: 'rk_{hidden}'" in text
    assert KEY not in text
    assert "hush" not in text


FORGED = "a\nb\r\x1b[2J\x00\x85\u2028\u202e\ud800"


def test_a_console_line_stays_one_line(stream: io.StringIO) -> None:
    logs.configure("console", "info", stream)
    structlog.get_logger().info(FORGED, value=FORGED, inner=[FORGED])
    [line] = stream.getvalue().splitlines()
    assert r"a\nb\r\x1b[2J\x00\x85\u2028\u202e\ud800" in line
    assert line.isprintable()


def test_a_console_traceback_is_indented(stream: io.StringIO) -> None:
    logs.configure("console", "info", stream)
    try:
        raise ValueError("x\n2026-01-02T03:04:05Z [info] forged")
    except ValueError:
        structlog.get_logger().exception("failed")
    first, *rest = stream.getvalue().splitlines()
    assert "failed" in first
    assert any("forged" in line for line in rest)
    assert all(line.startswith("    ") for line in rest if line)


class FullDisk(io.StringIO):
    def write(self, _: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("stream", [FullDisk(), io.StringIO()])
def test_a_line_that_cannot_be_written_fails_nobody(stream: io.StringIO) -> None:
    logs.configure("json", "info", stream)
    stream.close()
    structlog.get_logger().warning("lost")


@pytest.mark.parametrize("on", [True, False])
async def test_each_request_is_logged_unless_that_is_off(tmp_path: Path, on: bool) -> None:
    async with running_service(tmp_path, log_access=on) as service:
        structlog.reset_defaults()
        with capture_logs() as lines:
            await service.client().get("/livez")
    assert [line["path"] for line in lines if line["event"] == "request"] == ["/livez"] * on
