"""The archive in a bucket, on a server with S3's protocol over real HTTP."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer

from receiver.archive import open_archive
from receiver.archive.bucket import BucketArchive
from receiver.archive.contract import ArchiveUnavailable
from tests.archive.archive_world import archiving
from tests.archive.file_host import Answer, file_of
from tests.archive.test_folder import pieces
from tests.support.service import job_of

# This is a development server: it leaves sockets to the garbage collector.
pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

BUCKET = "results"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An independent client of the server, to check the bucket's content."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", region_name="us-east-1")
    client.create_bucket(Bucket=BUCKET)
    yield client
    client.close()
    httpx.post(f"http://{host}:{port}/moto-api/reset", trust_env=False)  # it keeps its state
    server.stop()


def keys(bucket: Any) -> list[str]:
    return [found["Key"] for found in bucket.list_objects_v2(Bucket=BUCKET).get("Contents", [])]


async def test_a_file_in_many_parts_is_stored_whole_or_not_at_all(bucket: Any) -> None:
    archive = open_archive(f"s3://{BUCKET}/pre/fix")
    assert isinstance(archive, BucketArchive)
    parts = [file_of(1 << 20, seed) for seed in range(20)]
    await archive.put("ada/a/1.mp4", "video/mp4", pieces(*parts))
    with pytest.raises(LookupError):
        await archive.put("ada/a/2.mp4", "video/mp4", pieces(*parts, then=LookupError()))
    assert keys(bucket) == ["pre/fix/ada/a/1.mp4"]
    assert "Uploads" not in bucket.list_multipart_uploads(Bucket=BUCKET), "no part is left"
    link = await archive.find("ada/a/1.mp4", 20 << 20)
    assert isinstance(link, str)
    async with httpx.AsyncClient(trust_env=False) as client:
        opened = await client.get(link)
    assert opened.content == b"".join(parts)
    assert opened.headers["Content-Type"] == "video/mp4"
    assert opened.headers["Content-Disposition"] == 'inline; filename="ada-a-1.mp4"'
    await archive.put("ada/ab/1", "video/mp4", pieces(b"x"))
    await archive.remove("ada/a")
    await archive.remove("ada/a")
    assert keys(bucket) == ["pre/fix/ada/ab/1"]


async def test_a_missing_bucket_is_reported(bucket: Any) -> None:
    archive = BucketArchive("s3://elsewhere")
    with pytest.raises(ArchiveUnavailable, match="NoSuchBucket"):
        await archive.put("ada/a/1", "video/mp4", pieces(b"x"))


async def test_a_result_is_stored_and_a_signed_link_to_it_returned(
    bucket: Any, tmp_path: Path
) -> None:
    body = file_of(20_000_000)
    given = {"archive_url": f"s3://{BUCKET}", "archive_max_bytes": 30_000_000}
    async with archiving(tmp_path, **given) as world:
        request_id = await world.create_stored(
            "/x", Answer(body, headers={"Content-Type": "video/mp4"})
        )
        job = await job_of(world.client, request_id)
        assert job["archive"][0]["sha256"] == hashlib.sha256(body).hexdigest()
        answer = await world.result(request_id)
        assert answer.status_code == 302
        async with httpx.AsyncClient(trust_env=False) as other:
            assert (await other.get(answer.headers["Location"])).content == body
        assert keys(bucket) == [f"ada/{request_id}/1.mp4"]
