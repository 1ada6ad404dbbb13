"""Results on the page: played from the provider or the archive, and links that lead nowhere."""

import re
from pathlib import Path

from playwright.async_api import expect

from tests.archive.file_host import Answer, file_host
from tests.browser.conftest import Start, StartSignedIn, Visit, holding, visit_job, visit_list
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


async def test_a_link_that_leads_nowhere(job: AcceptedJob, visit: Visit) -> None:
    """The page says so, and keeps the link."""
    await job.send({"status": "COMPLETED", "result": {"videoUrl": "http://127.0.0.1:9/film.mp4"}})
    visitor = await visit_job(visit, job)
    await visitor.sees("It cannot be shown here.")
    open_it = visitor.page.get_by_role("link", name="Open the result")
    await expect(open_it).to_have_attribute("href", f"{job.path}/result?n=1")


CHANGE = """async ([id, changes]) => {
    const { jobs, storeJob } = await import("/static/live.js");
    const job = jobs.get(id);
    storeJob({ ...job, ...changes, seq: job.seq + 1 });
}"""
"""Show a version of the job with these changes."""


async def test_what_plays_is_kept_when_its_file_is_stored(job: AcceptedJob, visit: Visit) -> None:
    link = "http://127.0.0.1:9/v.mp4"
    await job.send({"status": "COMPLETED", "result": {"videoUrl": link}})
    visitor = await visit_job(visit, job)
    shown = visitor.page.locator("figure")
    await shown.evaluate("figure => (figure.dataset.kept = 'yes')")
    file = {"link": link, "state": "stored", "bytes": 12, "content_type": "video/mp4"}
    await visitor.page.evaluate(CHANGE, [job.request_id, {"archive": [file]}])
    await visitor.sees("stored, 12 B")
    await expect(shown).to_have_attribute("data-kept", "yes")


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


async def test_what_comes_later_keeps_scroll_positions_and_the_focus(
    job: AcceptedJob, visit: Visit
) -> None:
    visitor = await visit_list(visit, job)
    page = visitor.page
    await page.set_viewport_size({"width": 400, "height": 400})
    history = await holding(page, "**/history")
    await visitor.open(f"#/jobs/{job.request_id}")
    await history.asked.wait()
    await page.evaluate("scrollTo(0, 100)")
    history.may_go_on.set()
    await expect(page.locator(".timeline li").first).to_be_visible()
    assert await page.evaluate("scrollY") == 100

    await page.get_by_text("As JSON").click()
    shown = page.get_by_label("the job as JSON", exact=True)
    await shown.focus()
    await shown.evaluate("pre => (pre.scrollTop = 100)")
    await job.send({"status": "IN_PROGRESS", "progress": 40})
    await expect(shown).to_contain_text('"progress": 40')
    await expect(shown).to_be_focused()
    assert await shown.evaluate("pre => pre.scrollTop") == 100

    cancel = page.get_by_role("button", name="Cancel")
    await cancel.focus()
    await job.cancel()
    await expect(cancel).to_be_hidden()
    await expect(page.locator("main")).to_be_focused()
