"""Results on the page: played from the provider or the archive, and links that lead nowhere."""

import re
from pathlib import Path

from playwright.async_api import expect

from tests.browser.conftest import StartSignedIn, Visit
from tests.http_api.accepted_job import AcceptedJob


async def test_an_archived_result_plays_from_the_archive(
    start_signed_in: StartSignedIn, tmp_path: Path
) -> None:
    _, visitor = await start_signed_in(archive_url=f"file://{tmp_path}/kept")
    page = visitor.page
    await visitor.submit_by_form(Prompt="A lighthouse", Title="Kept")
    await expect(page.locator("dd", has_text="stored, 9.0 kB")).to_be_visible()
    await expect(page.locator("dt", has_text="Kept until")).to_be_visible()
    await expect(page.locator(".timeline li").last).to_contain_text("Files")
    await page.reload()
    video = page.locator("video.result")
    assert await video.evaluate("video => video.play().then(() => video.videoWidth)") > 0
    kept = "video => fetch(video.src).then((answer) => answer.headers.get('etag'))"
    assert re.fullmatch('"[0-9a-f]{64}"', await video.evaluate(kept))
    assert visitor.console == []


CHANGE = """async ([id, changes]) => {
    const { jobs, storeJob } = await import("/static/live.js");
    const job = jobs.get(id);
    storeJob({ ...job, ...changes, seq: job.seq + 1 });
}"""
"""Show a version of the job with these changes."""


async def test_a_result_is_shown_whole(job: AcceptedJob, visit: Visit) -> None:
    """Links beyond the first few, and a result that has none."""
    links = [f"http://127.0.0.1:9/{n}.mp4" for n in range(9)]
    await job.send({"status": "COMPLETED", "result": {"videoUrl": links[0], "more": links[1:]}})
    visitor = await visit(str(job.client.base_url).rstrip("/"), job.client)
    await visitor.open(f"#/jobs/{job.request_id}")
    opened = visitor.page.get_by_role("link", name="Open the result")
    await expect(opened).to_have_count(9)
    await visitor.page.evaluate(CHANGE, [job.request_id, {"result": {"text": "a poem"}}])
    await visitor.sees("a poem")
    await expect(opened).to_have_count(0)
