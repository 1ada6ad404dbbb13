"""The pages below a path of another application's host."""

from pathlib import Path

from playwright.async_api import expect

from tests.asgi.conftest import Make, make, mounted
from tests.browser.conftest import Visit
from tests.support.service import submit

__all__ = ["make"]


async def test_the_dashboard_and_the_docs_work_below_a_path(
    visit: Visit, make: Make, tmp_path: Path
) -> None:
    async with mounted(make, tmp_path, sandbox_render="3600") as client:
        visitor = await visit(f"{client.base_url}", client)
        await submit(client)
        await visitor.sees("A lighthouse at dawn")  # by the stream
        await visitor.page.get_by_text("A lighthouse at dawn").first.click()
        await visitor.page.get_by_role("button", name="Cancel").click()
        await (
            visitor.page.get_by_role("dialog").get_by_role("button", name="Cancel the job").click()
        )
        await visitor.sees("Cancelled")

        await visitor.page.get_by_role("link", name="API", exact=True).click()
        shown = visitor.page.locator("details#listJobs")
        await shown.locator("summary").click()
        await expect(shown.locator("pre").first).to_contain_text("/jobs/v1/jobs")
        await shown.get_by_role("button", name="Send").click()
        await expect(shown.locator("form pre")).to_contain_text("200 OK")
        await visitor.page.get_by_role("link", name="Dashboard").click()
        await visitor.sees("A lighthouse at dawn")
        assert visitor.console == []
