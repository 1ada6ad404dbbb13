"""The providers' APIs, as the benchmarks' provider imitates them. Samsar's callbacks are unsigned;
those of Replicate and fal are signed as the real ones are."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from tests.providers.conformance.subjects import WHSEC, Sign, sign_fal, sign_replicate


@dataclass(frozen=True)
class Upstream:
    """One provider. Its id for a job is the job's name, such as `life-7`."""

    name: str
    kind: str
    id_member: str
    """The member of each body that holds the id."""
    submitted: Callable[[dict[str, Any], bytes], tuple[Mapping[str, Any], str]]
    """From a submission's body and query: the job's input, and its callback URL."""
    working: str
    completed: Callable[[str], dict[str, Any]]
    """From a link: a callback's body without the id."""
    sign: Sign | None = None
    """The headers that sign a callback; None if callbacks are unsigned."""

    def accepted(self, name: str) -> bytes:
        return b'{"%s":"%s"}' % (self.id_member.encode(), name.encode())

    def at_work(self, name: str) -> bytes:
        return json.dumps({self.id_member: name, "status": self.working}).encode()

    def outcome(self, name: str) -> bytes:
        """A callback's body, and the answer to a status call."""
        members = self.completed(f"https://cdn.test/{name}.mp4")
        return json.dumps({self.id_member: name, **members}).encode()

    def headers(self, body: bytes) -> Mapping[str, str]:
        """A callback's headers."""
        signed = self.sign(body, int(time.time())) if self.sign else {}
        return {"content-type": "application/json", **signed}


SAMSAR = Upstream(
    name="samsar",
    kind="create_movie",
    id_member="request_id",
    submitted=lambda body, _: (body["input"], body["webhookUrl"]),
    working="IN_PROGRESS",
    completed=lambda link: {"status": "COMPLETED", "videoUrl": link},
)
REPLICATE = Upstream(
    name="replicate",
    kind="bench/life",
    id_member="id",
    submitted=lambda body, _: (body["input"], body["webhook"]),
    working="processing",
    completed=lambda link: {"status": "succeeded", "output": link},
    sign=sign_replicate,
)
FAL = Upstream(
    name="fal",
    kind="bench/life",
    id_member="request_id",
    submitted=lambda body, query: (body, parse_qs(query.decode())["fal_webhook"][0]),
    working="IN_PROGRESS",
    completed=lambda link: {"status": "OK", "error": None, "payload": {"video": {"url": link}}},
    sign=sign_fal,
)
UPSTREAMS = {each.name: each for each in (SAMSAR, REPLICATE, FAL)}


def settings_of(origin: str) -> dict[str, str]:
    """The settings of a service that uses this provider at this origin."""
    return {
        "PROVIDERS": ",".join(UPSTREAMS),
        "SAMSAR_BASE_URL": f"{origin}/v1/video/",
        "REPLICATE_BASE_URL": f"{origin}/v1/",
        "REPLICATE_API_TOKEN": "none",
        "REPLICATE_WEBHOOK_SECRET": WHSEC,
        "FAL_BASE_URL": f"{origin}/",
        "FAL_KEY": "none",
        "FAL_USER_ID": "user-1",
        "FAL_JWKS_URL": f"{origin}/.well-known/jwks.json",
    }
