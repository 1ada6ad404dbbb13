"""A client that openapi-python-client generates from the document, without a warning, and its use
against a real service."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.service import running_service

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

PROGRAM = """
import sys

from receiver_client import AuthenticatedClient
from receiver_client.api.jobs import create_job, job_history, list_jobs, show_job
from receiver_client.models import CreateJob, HistoryCallback, HistorySubmission, Job
from receiver_client.models import ImageModel, MovieInput, Problem, VideoModel, WebhookEvent

url, key = sys.argv[1:]
client = AuthenticatedClient(base_url=url, token=key, prefix="", auth_header_name="API-KEY")
movie = MovieInput("a kite", ImageModel.IMAGEN3, VideoModel.LUMA, duration=10)
body = CreateJob(kind="create_movie", input_=movie, webhook_events=[WebhookEvent.COMPLETED])
made = create_job.sync(client=client, body=body, prefer="wait=30")
assert isinstance(made, Job) and made.done, made
history = job_history.sync(made.request_id, client=client).history
kinds = {type(line) for line in history}
assert {HistoryCallback, HistorySubmission} < kinds, kinds
assert [job.request_id for job in list_jobs.sync(client=client).jobs] == [made.request_id]
missing = show_job.sync("job_00000000000000000000000000", client=client)
assert isinstance(missing, Problem) and missing.code == "not_found", missing
print("generated client:", made.status.value, made.result.video_url)
"""


def run(command: list[str], folder: Path, *, skip: str = "") -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode and skip:
        pytest.skip(f"{skip}: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


async def test_openapi_python_client(tmp_path: Path) -> None:
    run([sys.executable, "-m", "venv", "venv"], tmp_path)
    bin_ = tmp_path / "venv" / "bin"
    install = [str(bin_ / "pip"), "install", "-q", "openapi-python-client", "ruff"]
    run(install, tmp_path, skip="pip could not install")
    generate = (
        f"PATH={bin_}:$PATH openapi-python-client generate --path openapi.json --output-path out"
    )
    async with running_service(tmp_path) as service:
        document = (await service.client().get("/openapi.json")).text
        (tmp_path / "openapi.json").write_text(document)
        said = await asyncio.to_thread(run, ["sh", "-c", generate], tmp_path)
        assert "arning" not in said, said
        (tmp_path / "out" / "program.py").write_text(PROGRAM)
        key = await service.key()
        command = [str(bin_ / "python"), "program.py", service.url, key]
        output = await asyncio.to_thread(run, command, tmp_path / "out")
    assert output.startswith("generated client: COMPLETED http")
