"""The provider that docs/providers.md writes works, from its folder and its line alone."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from receiver import providers
from receiver.clock import SystemClock
from receiver.config.environment import SettingsError, load
from receiver.providers.registry import simulator_api
from receiver.providers.settings import PriceSettings, ServiceSettings, with_providers
from receiver.simulator.faults import SimulatorRules
from receiver.simulator.run import simulator
from tests.docs.pages import ROOT, blocks
from tests.support.service import running_service, submit, wait_for_job

PAGE = (ROOT / "docs" / "providers.md").read_text().partition("## Add a provider")[2]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder and the line of the page, as parts of `receiver.providers`."""
    files = dict(
        zip(
            re.findall(r"^\d\. `(\w+\.py)`", PAGE, re.MULTILINE),
            blocks(PAGE, "python"),
            strict=True,
        )
    )
    assert sorted(files) == ["plugin.py", "settings.py", "simulator.py", "upstream.py"]
    folder = tmp_path / "easel"
    folder.mkdir()
    for name, code in files.items():
        (folder / name).write_text(code)
    monkeypatch.setattr(providers, "__path__", [*providers.__path__, str(tmp_path)])
    [line] = re.findall(r'`"(\S+:ENTRY)",`', PAGE)
    monkeypatch.setattr(providers, "BUILT_IN", (*providers.BUILT_IN, line))
    yield folder
    for name in [name for name in sys.modules if name.startswith("receiver.providers.easel")]:
        del sys.modules[name]


def test_its_key_is_needed_and_named() -> None:
    with pytest.raises(SettingsError) as caught:
        load(with_providers(ServiceSettings), provider="easel")
    [fault] = caught.value.faults
    assert fault == (
        "RECEIVER_PROVIDER is 'easel': it needs RECEIVER_EASEL_KEY, which is not set"
        " (RECEIVER_PROVIDER=sandbox-easel needs none)"
    )


@pytest.mark.parametrize("fails", [0, 1])
async def test_its_twin_takes_a_job(tmp_path: Path, fails: float) -> None:
    given: dict[str, Any] = {"provider": "sandbox-easel", "sandbox_fail_jobs": fails}
    async with running_service(tmp_path, **given) as service:
        client = await service.user()
        refused = await client.post("/v1/jobs", json={"kind": "poem", "input": {}})
        assert refused.json()["detail"] == "kind must be sketch."
        job = await submit(client, kind="sketch", input={"what": "a heron"})
        done = await wait_for_job(client, job["request_id"], done=True)
        openapi = (await client.get("/openapi.json")).json()
    assert (done["provider"], done["evidence"]) == ("sandbox-easel", "callback")
    if fails:
        assert (done["status"], done["error"]["code"]) == ("FAILED", "provider_failed")
    else:
        assert done["status"] == "COMPLETED"
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/results/\S+\.webm", done["result"]["image"])
    assert openapi["components"]["schemas"]["Provider"]["enum"] == ["sandbox-easel"]
    assert "easel" in openapi["components"]["schemas"]["Source"]["enum"]


async def test_it_takes_a_job_at_an_address_of_its_own(tmp_path: Path) -> None:
    api = simulator_api("easel", load(with_providers(PriceSettings), easel_key="k"))
    async with simulator(SimulatorRules(render_seconds=0.3), SystemClock(), api) as upstream:
        given: dict[str, Any] = {"easel_key": "k", "easel_base_url": upstream + api.path}
        async with running_service(tmp_path, provider="easel", **given) as service:
            client = await service.user()
            job = await submit(client, kind="sketch", input={"what": "a heron"})
            done = await wait_for_job(client, job["request_id"], done=True)
        async with httpx.AsyncClient(base_url=upstream, trust_env=False) as http:
            seen = (await http.get("/sandbox")).json()["jobs"]
    assert done["status"] == "COMPLETED"
    assert [(each["request_id"], each["input"]) for each in seen] == [
        (done["provider_request_id"], {"what": "a heron"})
    ]
