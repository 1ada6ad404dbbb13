"""`holds list` and `holds end`, with a provider that limits the rate."""

import json
import time
from collections.abc import Iterator

import pytest

from tests.cli.conftest import TIMEOUT, Served, Workspace, stub_server
from tests.support.service import JOB


@pytest.fixture
def busy(workspace: Workspace) -> Iterator[Served]:
    """A service whose provider answers every submission with "later"."""
    with stub_server(429, {"Retry-After": "50"}) as provider:
        settings = {"PROVIDER": "samsar", "SAMSAR_API_KEY": "key", "SAMSAR_BASE_URL": provider.url}
        with workspace.with_settings(**settings).serving() as served:
            yield served


def test_holds_are_listed_and_ended(busy: Served) -> None:
    root, ann = busy.as_user("root", "--admin"), busy.as_user("ann")
    none = root.run("holds", "list")
    assert (none.status, none.out) == (0, "No submissions are held.\n")
    assert root.run("holds", "list", "--json").json() == {"holds": []}

    job_id = ann.run("submit", "-", "--json", stdin=json.dumps(JOB)).json()["request_id"]
    until = time.monotonic() + TIMEOUT
    while not (found := root.run("holds", "list", "--json").json()["holds"]):
        assert time.monotonic() < until

    assert (found[0]["user"], found[0]["request_id"]) == (None, job_id)
    shown = root.run("holds", "list").out
    assert shown.startswith("samsar\t(all)\t")
    assert shown.endswith(f"Z\t429\t{job_id}\n")
    assert root.run("holds", "end", "samsar").out == "Submissions to samsar continue.\n"
    assert root.run("holds", "end", "samsar").status == 0
    unknown = root.run("holds", "end", "nobody")
    assert unknown.status == 1
    assert unknown.err == "The service does not run the provider 'nobody'.\n"


def test_another_server_s_answer_is_no_success(workspace: Workspace) -> None:
    with stub_server(200) as server:
        done = workspace.with_settings(API_KEY="key", URL=server.url).run("holds", "end", "fal")
    assert done.status == 1
    assert f"{server.url}/v1/holds/fal does not answer like the service." in done.err
