"""What an admin's key allows: managing users and keys, and reading everybody's jobs."""

import httpx
import pytest

from tests.http_api.conftest import Start
from tests.support.service import RunningService, eventually, listed, submit


@pytest.fixture
async def service(start: Start) -> RunningService:
    return await start(sandbox_render=60)


async def jobs(client: httpx.AsyncClient, **query: str) -> list[tuple[str, str]]:
    return [(job["user"], job["request_id"]) for job in await listed(client, "jobs", **query)]


async def test_users_are_listed_with_their_keys_and_open_jobs(service: RunningService) -> None:
    root = await service.user("root", admin=True)
    ada = await service.user("ada")
    await service.key("ada")
    prefix = (await service.key("ada"))[:11]
    await service.store.keys.revoke(prefix, 1)
    await submit(ada)
    cancelled = await submit(ada)
    await ada.post(f"/v1/jobs/{cancelled['request_id']}/cancel")

    users = await listed(root, "users")
    assert [(each["user"], each["keys"], each["unfinished"]) for each in users] == [
        ("ada", 2, 1),
        ("root", 1, 0),
    ]
    assert (await root.get("/v1/users?user=ada")).status_code == 400


@pytest.mark.parametrize(("path", "name"), [("/v1/users", "users"), ("/session/keys", "keys")])
async def test_users_and_keys_have_pages(service: RunningService, path: str, name: str) -> None:
    root = await service.user("root", admin=True)
    await service.key("ada")

    whole = (await root.get(path)).json()
    first = (await root.get(f"{path}?limit=1")).json()
    rest = (await root.get(path, params={"cursor": first["next_cursor"]})).json()
    assert (len(first[name]), first[name] + rest[name]) == (1, whole[name])
    assert whole["next_cursor"] is rest["next_cursor"] is None
    assert (await root.get(f"{path}?cursor=ada")).status_code == 400


async def test_everybodys_jobs_are_listed(service: RunningService) -> None:
    root = await service.user("root", admin=True)
    ada, bob = await service.user("ada"), await service.user("bob")
    made = [
        (name, (await submit(client))["request_id"])
        for name, client in (("ada", ada), ("bob", bob), ("ada", ada))
    ][::-1]

    assert await jobs(root, user="*") == made
    assert await jobs(root, user="ada") == [made[0], made[2]]
    assert await jobs(root) == []
    assert await jobs(root, user="*", q="LIGHTHOUSE", status="FAILED") == []

    first = (await root.get("/v1/jobs?user=*&limit=2")).json()
    cursor = first["next_cursor"]
    assert await jobs(root, user="*", cursor=cursor) == made[2:]
    assert (await root.get("/v1/jobs", params={"cursor": cursor})).status_code == 400
    assert (await submit(root))["user"] == "root"


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/deliveries", "/v1/events", "/v1/statistics"])
async def test_only_an_admin_may_name_a_user(shared_service: RunningService, path: str) -> None:
    root, ada = await shared_service.user("root", admin=True), await shared_service.user("ada")
    unknown = await root.get(path, params={"user": "nobody"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
    assert unknown.json()["detail"] == "There is no user 'nobody'."
    for name in ("*", "root", "ada", "nobody"):
        refused = await ada.get(path, params={"user": name})
        assert (refused.status_code, refused.json()["code"]) == (403, "admin_only")


async def test_the_page_shows_metrics_to_admins(shared_service: RunningService) -> None:
    root = await shared_service.user("root", admin=True)
    assert "\nreceiver_relay_backlog " in (await root.get("/session/metrics")).text


# --- keys, as the page makes them -----------------------------------------------------------------


async def test_an_admin_makes_lists_and_revokes_keys(service: RunningService) -> None:
    root = await service.user("root", admin=True)
    made = await root.post("/session/keys", json={"user": "ada"})
    assert made.status_code == 201
    assert made.headers["cache-control"] == "no-store"
    key = made.json()
    assert key["secret"].startswith("whsec_")
    assert key["key"].startswith(key["prefix"])
    ada = service.client(key["key"])
    assert (await ada.get("/v1/jobs")).status_code == 200

    listed = (await root.get("/session/keys")).json()["keys"]
    assert [(each["user"], each["admin"], each["current"]) for each in listed] == [
        ("ada", False, False),
        ("root", True, True),
    ]
    assert key["key"] not in str(listed)
    second = (await root.post("/session/keys", json={"user": "ada", "admin": True})).json()
    assert second["secret"] == key["secret"]

    assert (await root.delete(f"/session/keys/{key['prefix']}")).status_code == 204
    listed = (await root.get("/session/keys")).json()["keys"]
    assert [each["revoked_at"] is None for each in listed] == [True, False, True]
    assert (await root.delete(f"/session/keys/{key['prefix']}")).status_code == 404
    assert (await root.delete("/session/keys/rk_")).status_code == 409

    await eventually(lambda: ada.get("/v1/jobs"), lambda answer: answer.status_code == 401)
