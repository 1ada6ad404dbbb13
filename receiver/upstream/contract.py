"""The interface of a provider. To add one, implement it in a file, and add its name and settings
(docs/providers.md has the steps)."""

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from receiver.domain.answers import Report, StatusAnswer, SubmitAnswer
from receiver.domain.observations import CancelAnswer
from store.records.jobs import Job
from store.records.times import Millis

MAX_KIND = 200
"""Maximum length of a `kind`, in characters."""


@dataclass(frozen=True, slots=True)
class InputFault:
    """One error in a request's body. Errors in a job's `input` have the provider's own words, where
    it has any."""

    pointer: str
    """JSON pointer from the body's root, such as `/input/prompt`."""
    detail: str
    hint: str | None = None
    """What is valid, if `detail` does not say so."""

    @property
    def text(self) -> str:
        """Both."""
        return f"{self.detail}: {self.hint}" if self.hint else self.detail


@dataclass(frozen=True, slots=True)
class UpstreamJob:
    id: str
    """The provider_request_id."""
    kind: str
    urls: Mapping[str, str]
    """From `SubmitAccepted.urls`; empty if the provider gave none, or its answer was lost."""
    is_under_way: bool = False
    """Whether the provider has said that it works on it."""


def upstream_job(job: Job) -> UpstreamJob | None:
    """The job as its provider knows it; None if the provider's id is unknown."""
    if job.provider_request_id is None:
        return None
    is_under_way = "in_progress_at" in (job.details or {})
    return UpstreamJob(job.provider_request_id, job.kind, job.provider_urls or {}, is_under_way)


class BadSignature(Exception):
    """A callback's signature is missing, malformed or wrong."""


Headers: TypeAlias = Iterable[tuple[bytes, bytes]]
"""As in ASGI: names in lower case. Those of a callback begin with `:method` and `:path` (with its
query), as in HTTP/2."""

Verify: TypeAlias = Callable[[bytes], Awaitable[bool]]
"""Given a callback's raw body, returns True if the signature is the provider's. Returns False if no
key is available to verify it, or if it is valid but its timestamp is too far from our clock: the
callback is then treated as unsigned. Raises `BadSignature`."""


CheckKind: TypeAlias = Callable[[str], str | None]
"""What is wrong with a `kind`, as a sentence; None if it is valid."""


class Provider(Protocol):
    """One upstream API. An adapter inherits from this; methods with a body here are optional.

    `submit`, `status`, `result` and `cancel` report failures of the network or the provider in
    what they return. They raise only `asyncio.CancelledError`.
    """

    name: str
    """The name in URLs and settings."""
    absent_job: UpstreamJob
    """A job that does not exist: its status call is free and shows whether the key is accepted."""
    can_cancel: bool = False
    """Whether `cancel` may be called."""
    can_ask: bool = True
    """Whether `status` may be called. If not, a job ends by a callback or at its deadline."""
    poll_every: Millis = 0
    """The shortest gap between two status calls of a job."""
    retention: Millis | None = None
    """How long a finished job can be asked for, if that is known to be short."""
    reply: str | None = None
    """The text with which callbacks are answered, if the provider asks for a certain one."""

    def start(self) -> None:
        """Begin to fetch what is needed to verify callbacks, in the background. Called once."""
        return

    @abstractmethod
    def check_kind(self, kind: str) -> str | None:
        """What is wrong with a `kind`, as a sentence; None if it is valid."""

    def check(self, kind: str, body_input: Mapping[str, Any]) -> list[InputFault]:
        """The errors in `input` that the provider would report, as far as we know, in the order of
        its checks. `kind` is valid."""
        return []

    @abstractmethod
    async def submit(
        self, kind: str, input_json: str, callback_url: str, reference: str
    ) -> SubmitAnswer:
        """Send a submission once, with `callback_url` as its webhook. `input_json` is the ASCII
        JSON of an input that has passed `check`; `reference` is our request_id."""

    @abstractmethod
    async def status(self, job: UpstreamJob) -> StatusAnswer:
        """Read a job's status."""

    async def result(self, job: UpstreamJob) -> StatusAnswer:
        """Read the result of a job that the provider has reported as completed. If results have no
        endpoint of their own, this is a status call."""
        return await self.status(job)

    async def cancel(self, job: UpstreamJob) -> CancelAnswer:
        """Send a cancel request once."""
        return CancelAnswer("refused", message=f"{self.name} cannot cancel")

    def verifier(self, headers: Headers) -> Verify | None:
        """A function that verifies the body of a callback with these headers; None if the provider
        does not sign. Raises `BadSignature` if no body could be valid."""
        return None

    @abstractmethod
    def read(self, body: Mapping[str, Any]) -> Report:
        """Read a callback's body, leniently. Pure, and never raises."""

    def read_callback(self, body: Mapping[str, Any], headers: Headers) -> Report:
        """Read a callback of which headers are a part, likewise."""
        return self.read(body)

    def challenge(self, body: Mapping[str, Any]) -> Mapping[str, str] | None:
        """The answer to a body that is no callback, but asks whether we are there; None if it is a
        callback."""
        return None

    def headers_for(self, link: str) -> Mapping[str, str]:
        """The headers without which a link in a result is of no use; they hold the operator's key,
        so they must not follow a redirect. Empty for all other links."""
        return {}

    async def probe(self) -> StatusAnswer:
        """Make a free call that shows whether the key is accepted."""
        return await self.status(self.absent_job)

    @abstractmethod
    async def close(self) -> None:
        """Close its connections."""
