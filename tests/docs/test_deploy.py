"""The files in deploy/ fit the service: metrics and settings exist."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest
import yaml

from receiver.environment import PREFIX
from receiver.metrics import Metrics
from receiver.settings import ClientSettings, ServeSettings
from tests.support.nginx import needs_nginx, nginx_by
from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
SETTINGS = {
    PREFIX + name.upper() for kind in (ServeSettings, ClientSettings) for name in kind.model_fields
}
OF_THE_FILES = {"RECEIVER_LISTEN", "RECEIVER_HOSTNAME", "RECEIVER_UPSTREAM"}
"""Variables of the compose files and the Caddyfile themselves."""


def sample_names() -> set[str]:
    families = Metrics("1").registry.collect()
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
    return {
        family.name + suffix for family in families for suffix in suffixes.get(family.type, ("",))
    }


@pytest.mark.parametrize("file", [ALERTS, DEPLOY / "grafana" / "receiver.json"])
def test_every_metric_in_use_exists(file: Path) -> None:
    asked = set(re.findall(r"\b(?:receiver|process)_[a-z_]+\b", file.read_text()))
    assert asked
    assert asked <= sample_names()


def test_every_metric_is_on_the_dashboard_or_is_a_detail() -> None:
    shown = (DEPLOY / "grafana" / "receiver.json").read_text()
    names = {family.name for family in Metrics("1").registry.collect()}
    details = {"receiver_build"} | {name for name in names if name.startswith("process_")}
    assert {name for name in names - details if name not in shown} == set()


def test_every_alert_says_what_to_do() -> None:
    manual = (ROOT / "docs" / "operating.md").read_text()
    alerts = re.findall(r"- alert: (\w+)", ALERTS.read_text())
    assert len(alerts) == len(set(alerts)) > 10
    assert [alert for alert in alerts if f"`{alert}`" not in manual] == []


@pytest.mark.parametrize(
    "file",
    [*DEPLOY.glob("*.yaml"), DEPLOY / "Caddyfile", ROOT / "Dockerfile"],
    ids=lambda file: file.name,
)
def test_every_setting_that_is_set_is_one(file: Path) -> None:
    named = set(re.findall(r"\bRECEIVER_[A-Z_]+\b", file.read_text()))
    assert named
    assert named - OF_THE_FILES <= SETTINGS


def test_what_the_image_is_made_of_reaches_its_build() -> None:
    """.dockerignore lets through each file that the Dockerfile copies from this folder."""
    copies = re.findall(
        r"^COPY ((?!--from).+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE
    )
    needed = {name for line in copies for name in line.split()}
    let_through = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert "requirements.lock" in needed
    assert needed == set(let_through)


def test_the_dashboard_is_whole() -> None:
    panels = json.loads((DEPLOY / "grafana" / "receiver.json").read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)


ON_TOP_OF = {"compose.caddy.yaml": "compose.sqlite.yaml"}
COMPOSE = sorted(DEPLOY.glob("compose.*.yaml"))


@pytest.mark.parametrize("file", COMPOSE, ids=lambda file: file.name)
def test_a_compose_file_names_only_what_it_has(file: Path) -> None:
    """Its services, volumes and files; `docker compose` says the same where it is installed."""
    composed = yaml.safe_load(file.read_text())
    services = composed["services"]
    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)
        for source in (volume.partition(":")[0] for volume in service.get("volumes", [])):
            assert source in composed["volumes"] or (DEPLOY / source).is_file(), source
    if shutil.which("docker-compose") is None:
        return
    wanted = re.findall(r"\$\{(\w+):\?\}", file.read_text())
    files = [DEPLOY / ON_TOP_OF[file.name], file] if file.name in ON_TOP_OF else [file]
    subprocess.run(
        ["docker-compose", *(f"--file={each}" for each in files), "config", "--quiet"],
        env=os.environ | dict.fromkeys(wanted, "given"),
        check=True,
    )


def test_kubernetes_gets_documents_that_are_whole() -> None:
    documents = [*yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())]
    assert [each for each in documents if not {"apiVersion", "kind", "metadata"} <= set(each)] == []


def test_promtool_takes_the_rules() -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed here")
    subprocess.run(["promtool", "check", "rules", ALERTS], check=True)


def nginx_conf(folder: Path, upstream: int, port: int) -> str:
    """The file in deploy/ for a service on this machine; nginx writes to `folder` only."""
    text = (DEPLOY / "nginx.conf").read_text()
    text = text.replace("receiver:8000", f"127.0.0.1:{upstream}")
    return text.replace("listen 8080", f"listen 127.0.0.1:{port}").replace("/tmp/", f"{folder}/")


def test_nginx_logs_no_callback_token_and_no_ticket(tmp_path: Path) -> None:
    """Its error log quotes requests that fail: here nothing listens upstream."""
    needs_nginx()
    log = tmp_path / "error.log"
    port, nobody = free_port(), free_port()
    with (
        nginx_by(tmp_path, nginx_conf(tmp_path, nobody, port), error_log=str(log)),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        assert client.get("/livez?seen").status_code == 502
        assert client.post("/webhooks/samsar/hush-token", json={}).status_code == 502
        assert client.post("/webhooks%2Fsamsar/hush-token", json={}).status_code == 502
        large = b"x" * 2_000_000
        assert client.post("/webhooks/samsar/hush-token", content=large).status_code == 413
        for path in ("/v1/events", "/v1/jobs/job_1/events"):
            assert client.get(path, params={"ticket": "hush-ticket"}).status_code == 502
    assert "/livez?seen" in log.read_text()
    assert "hush" not in log.read_text()
