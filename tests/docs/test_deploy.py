"""The files in deploy/: the metrics and settings they use exist, and nginx logs no secret."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from receiver.config.environment import PREFIX, load
from receiver.config.settings import ClientSettings
from receiver.dashboard.pages import pages
from receiver.http_api.routes import routes_of
from receiver.providers.registry import Providers
from receiver.providers.settings import ServiceSettings, with_providers
from receiver.telemetry.metrics import Metrics
from tests.support.documented import EVERYTHING
from tests.support.nginx import needs_nginx, nginx_by
from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
DASHBOARD = DEPLOY / "grafana" / "receiver.json"
SETTINGS = {
    PREFIX + name.upper()
    for kind in (with_providers(ServiceSettings), ClientSettings)
    for name in kind.model_fields
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


def test_every_alert_is_explained() -> None:
    manual = (ROOT / "docs" / "operating.md").read_text()
    alerts = re.findall(r"- alert: (\w+)", ALERTS.read_text())
    assert len(alerts) == len(set(alerts)) > 10
    assert [alert for alert in alerts if f"`{alert}`" not in manual] == []


@pytest.mark.parametrize(
    "file",
    [
        *sorted({*DEPLOY.glob("*.yaml")} - {DEPLOY / "kubernetes.ingress.yaml"}),
        DEPLOY / "Caddyfile",
        ROOT / "Dockerfile",
    ],
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


COMPOSE = sorted(DEPLOY.glob("compose.*.yaml"))


@pytest.mark.parametrize("file", COMPOSE, ids=lambda file: file.name)
def test_a_compose_file_is_consistent(file: Path) -> None:
    """Its services, volumes and files exist."""
    composed = yaml.safe_load(file.read_text())
    services = composed["services"]
    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)
        for source in (volume.partition(":")[0] for volume in service.get("volumes", [])):
            assert source in composed["volumes"] or (DEPLOY / source).is_file(), source


def kubernetes(name: str) -> dict[str, Any]:
    """The objects in the file of this name, by their kind. Each kind occurs once."""
    documents = list(yaml.safe_load_all((DEPLOY / f"kubernetes.{name}.yaml").read_text()))
    objects = {each["kind"]: each for each in documents}
    assert len(objects) == len(documents)
    assert {each["metadata"]["name"] for each in documents} == {"receiver"}
    return objects


def pod_in(objects: dict[str, Any]) -> Any:
    return objects["Deployment"]["spec"]["template"]["spec"]


STORES = pytest.mark.parametrize("store", ["sqlite", "postgres"])


@STORES
def test_kubernetes_sets_no_setting_by_itself(store: str) -> None:
    """By default a pod gets variables such as NAME_PORT for each Service: here RECEIVER_PORT."""
    objects = kubernetes(store)
    assert objects["Service"]["metadata"]["name"].upper() + "_PORT" in SETTINGS
    assert pod_in(objects)["enableServiceLinks"] is False


@STORES
def test_what_a_kubernetes_file_names_exists(store: str) -> None:
    objects = kubernetes(store)
    spec, pod = objects["Deployment"]["spec"], pod_in(objects)
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"] == objects["Service"]["spec"]["selector"] == labels
    (container,) = pod["containers"]
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}
    (port,) = container["ports"]
    assert port["containerPort"] == ServiceSettings.model_fields["port"].default
    probes = [container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")]
    assert [probe["path"] for probe in probes] == ["/livez", "/livez", "/readyz"]
    (exposed,) = objects["Service"]["spec"]["ports"]
    assert {probe["port"] for probe in probes} | {exposed["targetPort"]} == {port["name"]}
    (rule,) = kubernetes("ingress")["Ingress"]["spec"]["rules"]
    backends = [path["backend"]["service"] for path in rule["http"]["paths"]]
    assert {(each["name"], each["port"]["name"]) for each in backends} == {
        (objects["Service"]["metadata"]["name"], exposed["name"])
    }


@STORES
def test_a_pod_runs_as_the_image_does_and_writes_only_to_its_volumes(store: str) -> None:
    pod = pod_in(kubernetes(store))
    image = (ROOT / "Dockerfile").read_text()
    uid = int(image.partition("\nUSER ")[2].partition(":")[0])
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert {pod["securityContext"][name] for name in ("runAsUser", "fsGroup")} == {uid}
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    data = re.findall(r"^VOLUME (\S+)$", image, re.MULTILINE)
    assert data[0] in [mount["mountPath"] for mount in container["volumeMounts"]]


def test_kubernetes_runs_one_process_at_a_time_on_sqlite_and_keeps_its_volume() -> None:
    objects = kubernetes("sqlite")
    spec = objects["Deployment"]["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    (volume,) = pod_in(objects)["volumes"]
    claim = objects["PersistentVolumeClaim"]
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert "PodDisruptionBudget" not in objects  # it would block every drain


def test_kubernetes_may_stop_a_replica_on_postgresql() -> None:
    objects = kubernetes("postgres")
    budget = objects["PodDisruptionBudget"]["spec"]
    spec = objects["Deployment"]["spec"]
    assert budget["selector"] == spec["selector"]
    assert 0 < budget["minAvailable"] < spec["replicas"]


def test_the_ingress_serves_every_path_but_the_metrics_and_logs_no_secret() -> None:
    ingress = kubernetes("ingress")["Ingress"]
    assert ingress["spec"]["ingressClassName"] == "nginx"
    annotations = ingress["metadata"]["annotations"]
    assert annotations["nginx.ingress.kubernetes.io/enable-access-log"] == "false"
    (rule,) = ingress["spec"]["rules"]
    served = {(each["path"], each["pathType"]) for each in rule["http"]["paths"]}
    every = load(with_providers(ServiceSettings), **EVERYTHING)
    paths = {row.path for row in routes_of(Providers(every).client_routes(), {})} | {
        *pages("", "", results_nearby=False)
    }
    kinds = {
        path: {(path, "Exact"), ("/" + path.split("/")[1], "Prefix")} & served for path in paths
    }
    assert [path for path, found in kinds.items() if not found] == ["/metrics"]
    assert set().union(*kinds.values()) == served


def nginx_conf(folder: Path, upstream: int, port: int) -> str:
    """The file in deploy/ for a service on this machine; nginx writes to `folder` only."""
    text = (DEPLOY / "nginx.conf").read_text()
    text = text.replace("receiver:8000", f"127.0.0.1:{upstream}")
    return text.replace("listen 8080", f"listen 127.0.0.1:{port}").replace("/tmp/", f"{folder}/")


@pytest.mark.parametrize("name", ["nginx.conf", "nginx-tls.conf"])
def test_nginx_buffers_no_stream(name: str) -> None:
    (location,) = re.findall(
        r"location ~ (\S+) {[^}]*proxy_buffering off", (DEPLOY / name).read_text()
    )
    for path in ("v1/events", "v1/jobs/job_1/events", "fal/fal-ai/flux/requests/1/status/stream"):
        assert re.search(location, f"/{path}")
    assert not re.search(location, "/v1/jobs/job_1")


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
