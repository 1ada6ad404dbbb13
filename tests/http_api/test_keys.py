"""The page's routes for users' keys."""

from pathlib import Path

from tests.http_api.conftest import SHARED_LOOP
from tests.support.service import RunningService, eventually, running_service


async def test_an_admin_makes_lists_and_revokes_keys(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service:
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
            ("root", True, True),
            ("ada", False, False),
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


@SHARED_LOOP
async def test_what_is_refused(shared: RunningService) -> None:
    root = await shared.user("root", admin=True)
    bodies: tuple[dict[str, object], ...] = (
        {},
        {"user": 7},
        {"user": "ada", "admin": "yes"},
        {"user": "ada", "admn": True},
    )
    for body in bodies:
        answer = await root.post("/session/keys", json=body)
        assert (answer.status_code, answer.json()["detail"][:14]) == (400, 'Send {"user": ')
    answer = await root.post("/session/keys", json={"user": "*"})
    assert [fault["pointer"] for fault in answer.json()["errors"]] == ["/user"]
