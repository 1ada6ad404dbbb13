"""The files in deploy/: the metrics and settings they use exist, and nginx logs no secret."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from receiver.dashboard.pages import pages
from receiver.environment import PREFIX
from receiver.http_api.routes import API
from receiver.metrics import Metrics
from receiver.settings import ClientSettings, ServeSettings
from tests.support.nginx import needs_nginx, nginx_by
from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
DASHBOARD = DEPLOY / "grafana" / "receiver.json"
SETTINGS = {
    PREFIX + name.upper() for kind in (ServeSettings, ClientSettings) for name in kind.model_fields
}
FOR_COMPOSE_AND_CADDY = {"RECEIVER_LISTEN", "RECEIVER_HOSTNAME", "RECEIVER_UPSTREAM"}
"""Variables of the Compose files and the Caddyfile, which are not settings."""


def sample_names() -> set[str]:
    families = Metrics("1").registry.collect()
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
    return {
        family.name + suffix for family in families for suffix in suffixes.get(family.type, ("",))
    }


@pytest.mark.parametrize("file", [ALERTS, DASHBOARD])
def test_every_metric_in_use_exists(file: Path) -> None:
    used = set(re.findall(r"\b(?:receiver|process)_[a-z_]+\b", file.read_text()))
    assert used
    assert used <= sample_names()


def test_every_metric_is_on_the_dashboard_or_is_a_detail() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    shown = DASHBOARD.read_text()
    names = {family.name for family in Metrics("1").registry.collect()}
    details = {"receiver_build"} | {name for name in names if name.startswith("process_")}
    assert {name for name in names - details if name not in shown} == set()


STORED = re.compile(
    r"receiver_(?:jobs|submissions_unconfirmed|(?:relay|archive)_backlog|\w+_size_bytes)\b"
)
"""Gauges about what is stored, which each replica of a cell reports."""


def test_what_replicas_share_is_counted_once_for_each_cell() -> None:
    expressions = re.findall(r'"expr": "(.+)"', DASHBOARD.read_text())
    stored = [each for each in expressions if STORED.search(each)]
    assert len(stored) == 6
    assert [each for each in stored if "sum" not in each or "(max by (cell" not in each] == []


def test_every_alert_is_explained() -> None:
    manual = (ROOT / "docs" / "operating.md").read_text()
    alerts = re.findall(r"- alert: (\w+)", ALERTS.read_text())
    assert len(alerts) == len(set(alerts)) > 10
    assert [alert for alert in alerts if f"`{alert}`" not in manual] == []


@pytest.mark.parametrize(
    "file",
    [*DEPLOY.glob("*.yaml"), DEPLOY / "Caddyfile", ROOT / "Dockerfile"],
    ids=lambda file: file.name,
)
def test_every_setting_exists(file: Path) -> None:
    named = set(re.findall(r"\bRECEIVER_[A-Z_]+\b", file.read_text()))
    assert named
    assert named - FOR_COMPOSE_AND_CADDY <= SETTINGS


def test_dockerignore_lets_through_what_the_image_copies() -> None:
    copies = re.findall(
        r"^COPY ((?!--from).+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE
    )
    needed = {name for line in copies for name in line.split()}
    let_through = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert "requirements.lock" in needed
    assert needed == set(let_through)


ON_TOP_OF = {"compose.caddy.yaml": "compose.sqlite.yaml"}
COMPOSE = sorted(DEPLOY.glob("compose.*.yaml"))


@pytest.mark.parametrize("file", COMPOSE, ids=lambda file: file.name)
def test_a_compose_file_is_consistent(file: Path) -> None:
    """Its services, volumes and files exist; `docker-compose config` agrees if it is installed."""
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


@pytest.mark.parametrize("name", ["compose.sqlite.yaml", "compose.postgres.yaml"])
def test_the_image_is_built_once_and_never_pulled_and_a_start_can_be_stopped(name: str) -> None:
    """As process 1, Python ignores a SIGTERM until it has installed its handler; `init` forwards
    the signal."""
    services = yaml.safe_load((DEPLOY / name).read_text())["services"].values()
    ours = [each for each in services if each["image"].partition(":")[0] == "receiver"]
    assert [each["init"] for each in ours] == [True] * len(ours)
    assert {each["pull_policy"] for each in ours} == {"never"}
    assert len([each for each in ours if "build" in each]) == 1


def kubernetes(kind: str) -> list[Any]:
    documents = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
    return [each for each in documents if each["kind"] == kind]


def test_kubernetes_documents_are_complete() -> None:
    documents = [*yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())]
    assert [each for each in documents if not {"apiVersion", "kind", "metadata"} <= set(each)] == []


def test_kubernetes_sets_no_setting_by_itself() -> None:
    """By default a pod gets variables such as NAME_PORT for each Service: here RECEIVER_PORT."""
    (service,) = kubernetes("Service")
    assert service["metadata"]["name"].upper() + "_PORT" in SETTINGS
    (deployment,) = kubernetes("Deployment")
    assert deployment["spec"]["template"]["spec"]["enableServiceLinks"] is False


def test_the_ingress_serves_every_path_but_the_metrics_and_logs_no_secret() -> None:
    (ingress,) = kubernetes("Ingress")
    assert ingress["spec"]["ingressClassName"] == "nginx"
    annotations = ingress["metadata"]["annotations"]
    assert annotations["nginx.ingress.kubernetes.io/enable-access-log"] == "false"
    (rule,) = ingress["spec"]["rules"]
    served = {(each["path"], each["pathType"]) for each in rule["http"]["paths"]}
    paths = {row.path for row in API} | {"/openapi.json", *pages("", "", results_nearby=False)}
    kinds = {
        path: {(path, "Exact"), ("/" + path.split("/")[1], "Prefix")} & served for path in paths
    }
    assert [path for path, found in kinds.items() if not found] == ["/metrics"]
    assert set().union(*kinds.values()) == served


def test_promtool_accepts_the_rules() -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed here")
    subprocess.run(["promtool", "check", "rules", ALERTS], check=True)


def nginx_conf(folder: Path, upstream: int, port: int) -> str:
    """The file in deploy/ for a service on this machine; nginx writes to `folder` only."""
    text = (DEPLOY / "nginx.conf").read_text()
    text = text.replace("receiver:8000", f"127.0.0.1:{upstream}")
    return text.replace("listen 8080", f"listen 127.0.0.1:{port}").replace("/tmp/", f"{folder}/")


def test_nginx_logs_no_callback_token_and_no_ticket(tmp_path: Path) -> None:
    """nginx's error log quotes requests that fail: here nothing listens upstream."""
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
