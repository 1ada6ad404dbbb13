"""What stands in deploy/ fits the service: metrics that there are, settings that there are."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from receiver.metrics import Metrics
from receiver.settings import PREFIX, ClientSettings, ServeSettings
from tests.nginx import needs_nginx

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
SETTINGS = {
    PREFIX + name.upper() for kind in (ServeSettings, ClientSettings) for name in kind.model_fields
}
OF_THE_FILES = {"RECEIVER_LISTEN"}
"""Variables of the compose files themselves."""


def sample_names() -> set[str]:
    families = Metrics("1").registry.collect()
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
    return {
        family.name + suffix for family in families for suffix in suffixes.get(family.type, ("",))
    }


@pytest.mark.parametrize("file", [ALERTS, DEPLOY / "grafana" / "receiver.json"])
def test_every_metric_that_is_asked_for_is_told(file: Path) -> None:
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
    "file", [*DEPLOY.glob("*.yaml"), ROOT / "Dockerfile"], ids=lambda file: file.name
)
def test_every_setting_that_is_set_is_one(file: Path) -> None:
    named = set(re.findall(r"\bRECEIVER_[A-Z_]+\b", file.read_text()))
    assert named
    assert named - OF_THE_FILES <= SETTINGS


def test_the_dashboard_is_whole() -> None:
    panels = json.loads((DEPLOY / "grafana" / "receiver.json").read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_promtool_takes_the_rules() -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed here")
    subprocess.run(["promtool", "check", "rules", ALERTS], check=True)


def test_nginx_takes_its_configuration(tmp_path: Path) -> None:
    needs_nginx()
    config = tmp_path / "nginx.conf"
    text = (DEPLOY / "nginx.conf").read_text().replace("receiver:8000", "127.0.0.1:8000")
    config.write_text(text.replace("/tmp/", f"{tmp_path}/"))
    subprocess.run(["nginx", "-t", "-q", "-c", config, "-e", "stderr"], check=True)
