"""Results on the page: played from the provider or the archive, and links that lead nowhere."""

import re
from pathlib import Path

from playwright.async_api import expect

from tests.archive.file_host import Answer, file_host
from tests.browser.conftest import Start, StartSignedIn, Visit, visit_job
from tests.http_api.accepted_job import AcceptedJob
from tests.http_api.scripted_provider import ScriptedProvider, call_back
from tests.support.service import submit


async def test_an_archived_result_plays_from_the_archive(
    start_signed_in: StartSignedIn, tmp_path: Path
) -> None:
    _, visitor = await start_signed_in(archive_url=f"file://{tmp_path}/kept")
    page = visitor.page
    await visitor.submit_by_form(Prompt="A lighthouse", Label="Kept")
    await expect(page.locator("dd", has_text="stored, 9.0 kB")).to_be_visible()
    await expect(page.locator("dt", has_text="Kept until")).to_be_visible()
    await expect(page.locator(".timeline li").last).to_contain_text("Files")
    await page.reload()
    video = page.locator("video.result")
    assert await video.evaluate("video => video.play().then(() => video.videoWidth)") > 0
    kept = "video => fetch(video.src).then((answer) => answer.headers.get('etag'))"
    assert re.fullmatch('"[0-9a-f]{64}"', await video.evaluate(kept))
    assert visitor.console == []


WIDTHS = """pictures => Promise.all(pictures.map(async (each) => {
    await each.decode();
    return [each.getAttribute("src"), each.naturalWidth];
}))"""


async def test_each_archived_file_is_shown(
    start: Start, visit: Visit, tmp_path: Path, provider: ScriptedProvider
) -> None:
    """The links end without a type, come in another order, and are dead by then."""

    def picture(width: int) -> Answer:
        body = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="30"/>'
        return Answer(body.encode(), headers={"Content-Type": "image/svg+xml"})

    async with file_host() as host:
        service = await start(
            **provider.settings(),
            confirm_callbacks=False,
            archive_url=f"file://{tmp_path}/kept",
            relay_allow_http=True,
            relay_allow_nets="127.0.0.0/8",
        )
        client = await service.user()
        job = await submit(client, metadata={"label": "Pictures"})
        result = {
            "thumbs": [host.link("/second", picture(20))],
            "videoUrl": host.link("/first", picture(10)),
            "lost": host.link("/lost.png", Answer(status=404)),
        }
        url = (await provider.submitted()).webhook_url
        await call_back(url, {"status": "COMPLETED", "result": result})
        visitor = await visit(service.url, client)
        thumbnail = visitor.page.get_by_role("link", name="Pictures").locator(".thumb img")
        archived = f"/v1/jobs/{job['request_id']}/result?n="
        await expect(thumbnail).to_have_attribute("src", f"{archived}2")
        host.answers |= dict.fromkeys(("/first", "/second"), Answer(status=404))
        await visitor.open(f"#/jobs/{job['request_id']}")
        shown = visitor.page.locator("img.result")
        await expect(shown).to_have_count(2)
        await visitor.sees("It cannot be shown here.")
        assert await shown.evaluate_all(WIDTHS) == [[f"{archived}2", 20], [f"{archived}1", 10]]


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
    visitor = await visit_job(visit, job)
    opened = visitor.page.get_by_role("link", name="Open the result")
    await expect(opened).to_have_count(9)
    await visitor.page.evaluate(CHANGE, [job.request_id, {"result": {"text": "a poem"}}])
    await visitor.sees("a poem")
    await expect(opened).to_have_count(0)


async def test_a_large_number_that_comes_by_the_stream_keeps_its_digits(
    job: AcceptedJob, visit: Visit
) -> None:
    visitor = await visit_job(visit, job)
    await visitor.page.get_by_text("As JSON").click()
    result = {"videoUrl": "http://127.0.0.1:9/film.mp4", "seed": 12345678901234567890123}
    await job.send({"status": "COMPLETED", "result": result})
    shown = visitor.page.get_by_label("the job as JSON", exact=True)
    await expect(shown).to_contain_text('"seed": 12345678901234567890123')
