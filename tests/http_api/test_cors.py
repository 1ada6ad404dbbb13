"""Pages of other origins: those in the list, and all others."""

from pathlib import Path

import httpx

from tests.support.service import running_service

LISTED = "https://app.example.com"
FOREIGN = "https://evil.example.com"
PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "api-key, content-type",
}


def cors_headers(response: httpx.Response) -> set[str]:
    return {name for name in response.headers if name.startswith("access-control-")}


async def test_a_listed_origin_may_read_answers_and_others_get_no_header_of_ours(
    tmp_path: Path,
) -> None:
    async with (
        running_service(tmp_path, cors_origins=LISTED) as service,
        httpx.AsyncClient(base_url=service.url, trust_env=False) as http,
    ):
        for path in ("/livez", "/v1/jobs", "/nowhere"):
            answer = await http.get(path, headers={"Origin": LISTED})
            assert answer.headers["Access-Control-Allow-Origin"] == LISTED
            assert "X-Request-ID" in answer.headers["Access-Control-Expose-Headers"]
            assert answer.headers["Vary"] == "Origin"
        asked = await http.options("/v1/jobs", headers={"Origin": LISTED, **PREFLIGHT})
        assert asked.status_code == 200
        assert asked.headers["Access-Control-Allow-Methods"] == "DELETE, GET, HEAD, POST"
        assert "API-KEY" in asked.headers["Access-Control-Allow-Headers"]

        for origin in (FOREIGN, LISTED + ":8443", "http://app.example.com", "null"):
            plain = await http.get("/livez", headers={"Origin": origin})
            asked = await http.options("/v1/jobs", headers={"Origin": origin, **PREFLIGHT})
            assert (plain.status_code, asked.status_code) == (200, 405)
            assert not cors_headers(plain) | cors_headers(asked), origin
            # A cache must know that the listed origin would get another answer.
            assert plain.headers["Vary"] == "Origin"
