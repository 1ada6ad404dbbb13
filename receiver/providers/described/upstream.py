"""A provider by its description: its calls, and how their answers count."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import quote
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

from receiver.domain.answers import (
    Report,
    StatusAnswer,
    StatusMissing,
    StatusReport,
    StatusUnavailable,
    SubmitAnswer,
)
from receiver.domain.observations import CancelAnswer
from receiver.providers.described.bodies import input_faults, multipart, with_input
from receiver.providers.described.description import Description
from receiver.providers.described.pointers import Place
from receiver.providers.described.reading import (
    callback_reader,
    header_map,
    read_delay,
    read_id,
    read_result,
    read_text,
    status_code_meant,
    status_reader,
)
from receiver.providers.described.signatures import Key, Signatures, read_keys
from receiver.providers.described.templates import (
    Template,
    Values,
    fill_form,
    in_path,
    in_query,
)
from receiver.upstream import parsing
from receiver.upstream.api import SUCCESS, Account, Api
from receiver.upstream.calls import HttpClient, Response
from receiver.upstream.contract import Headers, InputFault, Provider, UpstreamJob, Verify
from receiver.upstream.signatures import ASK_TIMEOUT, VerificationKeys, read_jwks
from store.records.jobs import Status

_NO_JOB: Final = "00000000-0000-0000-0000-000000000000"
_ENDS: Final = frozenset({Status.FAILED, Status.CANCELLED})
_UNKNOWN_ADDRESS: Final = "its submission's answer gave no address for this"


@dataclass(frozen=True, slots=True)
class Access:
    """What an operator has at a provider beside the account."""

    secrets: Sequence[str] = field(default=(), repr=False)
    """With which callbacks are signed, the newest first."""
    jwks_url: str | None = None
    """In place of the description's."""
    new_uuid: Callable[[], UUID] = uuid4


class Described(Provider):
    """The provider of a description, or under another name, any service with the same API."""

    def __init__(
        self, description: Description, account: Account, access: Access | None = None
    ) -> None:
        """Does no I/O. An `account` without a key leaves out the headers that need it.

        Raises:
            ValueError: a secret is not as the description says.
        """
        one, access = description, access or Access()
        self.name = account.name
        self.can_cancel = one.cancel is not None
        self.can_ask = one.status is not None
        self.poll_every = round((one.poll.every or 0) * 1_000)
        self.retention = None if one.poll.retention is None else round(one.poll.retention * 1_000)
        self.reply = one.callback.reply
        kind = one.probe.kind or one.kind.example or ""
        self.absent_job = UpstreamJob(one.probe.id or _NO_JOB, kind, {})
        self._one, self._account, self._access = one, account, access
        self._reader, self._callbacks = status_reader(one), callback_reader(one)
        self._api = Api(
            replace(account, base_url=f"{account.base_url.rstrip('/')}/"),
            {},
            lambda body: read_text(one.errors.message, body),
            read_delay=lambda body: read_delay(one.errors, body),
            counts_as=self._counts_as,
            hosts=one.hosts,
            new_headers=self._headers,
        )
        self._jwks: HttpClient | None = None
        self._keys: VerificationKeys[Key] = VerificationKeys(account.clock, self._ask_keys)
        self._signatures: Signatures | None = None
        self._given_keys: Sequence[Key] = ()
        if one.signature is not None:
            self._given_keys = read_keys(one.signature, access.secrets)
            if one.signature.keys is not None and one.signature.keys.jwks is not None:
                jwks_url = access.jwks_url or one.signature.keys.jwks
                self._jwks = HttpClient(jwks_url, {}, account.tls)
            if self._given_keys or one.signature.keys is not None:
                required = {
                    name.removeprefix("header:").lower(): text.fill(self._values())
                    for name, text in one.signature.require.items()
                }
                self._signatures = Signatures(one.signature, self._keys, required, account.clock)

    def start(self) -> None:
        if self._signatures is not None:
            self._keys.fetch()

    def check_kind(self, kind: str) -> str | None:
        return self._one.kind_fault(kind)

    def check(self, kind: str, body_input: Mapping[str, Any]) -> list[InputFault]:
        submit = self._one.submit
        only_scalars = submit.encoding == "multipart"
        steps = submit.input.steps
        return input_faults(steps, body_input, submit.body, only_scalars=only_scalars)

    # --- calls ------------------------------------------------------------------------------------

    async def submit(
        self, kind: str, input_json: str, callback_url: str, reference: str
    ) -> SubmitAnswer:
        submit = self._one.submit
        # Always the same for a job, so that a submission that is sent again has the same bytes.
        unique = str(uuid5(NAMESPACE_URL, reference))
        values = self._values(kind, callback_url=callback_url, reference=reference, uuid=unique)
        body = with_input(submit.input.steps, input_json, fill_form(self._body(), values))
        headers = _filled(submit.headers, values)
        content = body.encode("ascii")
        if submit.encoding == "multipart":
            content, headers["Content-Type"] = multipart(body)
        if submit.deduplicates is not None:
            headers[submit.deduplicates.header] = reference
        path = self._path(submit.path, submit.query, values)
        assert path is not None, "the path of a submission is no address of an answer"
        read, urls, method = self._read_id, self._read_urls, submit.method
        return await self._api.submit(path, content, read, urls, method=method, headers=headers)

    async def status(self, job: UpstreamJob) -> StatusAnswer:
        """Read a job's status and, if it has completed and results are elsewhere, its result."""
        call, result = self._one.status, self._one.result
        if call is None:
            return StatusUnavailable("it cannot be asked for jobs", only_this_job=True)
        now = asyncio.get_running_loop().time
        until = now() + self._account.status_timeout
        found: list[str] = []

        def read(body: Mapping[str, Any]) -> Report:
            found[:] = _at(result.value, body)
            return self._cleaned(self._reader.read(body))

        values = self._values(job.kind, id=job.id)
        path = self._path(call.path, call.query, values, job.urls)
        if path is None:
            return StatusUnavailable(_UNKNOWN_ADDRESS, only_this_job=True)
        body = _json(call.body, values)
        said = await self._api.status(path, read, method=call.method, body=body)
        if not isinstance(said, StatusReport):
            return said
        if said.report.provider_request_id not in (None, job.id):
            return StatusUnavailable("an answer about another job", only_this_job=True)
        if said.report.status is not Status.COMPLETED:
            return said
        if result.path is not None:
            return await self._fetch(job, said, found, max(until - now(), 0.1))
        return replace(said, report=self._with_file(job, said.report))

    async def result(self, job: UpstreamJob) -> StatusAnswer:
        """Read the result alone, if its call needs nothing that only the status has."""
        if self._one.result.path is None or self._one.result.value is not None:
            return await self.status(job)
        completed = StatusReport(Report(Status.COMPLETED))
        return await self._fetch(job, completed, [], self._account.status_timeout)

    async def _fetch(
        self, job: UpstreamJob, said: StatusReport, value: Sequence[str], timeout: float
    ) -> StatusAnswer:
        """Make the second request, for the result. `value` is what `{value}` stands for, if it was
        there."""
        result, report = self._one.result, said.report
        assert result.path is not None
        if result.value is not None and not value:
            return said
        values = self._values(job.kind, id=job.id, value=next(iter(value), ""))
        path = self._path(result.path, result.query, values, job.urls)
        if path is None:
            return StatusUnavailable(_UNKNOWN_ADDRESS, only_this_job=True)

        def read(body: Mapping[str, Any]) -> Report:
            return self._cleaned(replace(report, result=read_result(result.at, body)))

        answer = await self._api.status(path, read, timeout=timeout)
        if isinstance(answer, StatusMissing):  # that does not say that the job is not there
            return StatusUnavailable("its result: 404", answer.retry_after, only_this_job=True)
        return answer

    async def cancel(self, job: UpstreamJob) -> CancelAnswer:
        call = self._one.cancel
        if call is None:
            return await super().cancel(job)
        if call.only_queued and job.is_under_way:
            return CancelAnswer("refused", message=f"{self.name} cancels only what it has queued")
        values = self._values(job.kind, id=job.id)
        path = self._path(call.path, {}, values, job.urls)
        if path is None:
            return CancelAnswer("refused", message=_UNKNOWN_ADDRESS)
        return await self._api.cancel(path, call.method, _json(call.body, values))

    async def probe(self) -> StatusAnswer:
        path = self._one.probe.path
        if path is None:
            return await super().probe()
        target = path.fill(self._values(), in_path).removeprefix("/")
        return await self._api.status(target, lambda _: Report(Status.PENDING))

    def headers_for(self, link: str) -> Mapping[str, str]:
        needs_key = self._one.result.needs_key or self._one.result.file is not None
        return self._headers() if needs_key and self._api.usable_address(link) else {}

    # --- callbacks --------------------------------------------------------------------------------

    def verifier(self, headers: Headers) -> Verify | None:
        return None if self._signatures is None else self._signatures.verifier(headers)

    def read(self, body: Mapping[str, Any]) -> Report:
        return self.read_callback(body, ())

    def read_callback(self, body: Mapping[str, Any], headers: Headers) -> Report:
        report = self._callbacks.read(body, header_map(headers))
        return self._cleaned(replace(report, is_only_word=self._one.callback.only))

    def challenge(self, body: Mapping[str, Any]) -> Mapping[str, str] | None:
        place = self._one.callback.challenge
        found = None if place is None else Place((place,)).first(body, parsing.first_text)
        return None if place is None or found is None else {place.steps[-1]: found}

    async def close(self) -> None:
        await self._keys.close()
        if self._jwks is not None:
            await self._jwks.close()
        await self._api.close()

    # ----------------------------------------------------------------------------------------------

    def _values(self, kind: str = "", **more: str) -> dict[str, str]:
        """What placeholders stand for."""
        pattern = self._one.kind.pattern
        return {
            **dict.fromkeys(pattern.names, ""),  # for a kind that fitted an earlier description
            **(pattern.match(kind) or {}),
            "kind": kind,
            "key": self._account.key,
            "secret": next(iter(self._access.secrets), ""),
            "uuid": str(self._access.new_uuid()),
            **more,
        }

    def _headers(self) -> dict[str, str]:
        """Those of every call."""
        has_key = bool(self._account.key)
        given = self._one.headers.items()
        used = {name: text for name, text in given if has_key or "key" not in text.names}
        return _filled(used, self._values())

    def _body(self) -> Mapping[str, Any]:
        """What is merged over an input; without a secret to tell, none is told."""
        body = self._one.submit.body
        if self._access.secrets:
            return body
        secret = Template(("", "secret", ""))
        return {name: value for name, value in body.items() if value != secret}

    def _path(
        self,
        path: Template,
        query: Mapping[str, Template],
        values: Values,
        urls: Mapping[str, str] | None = None,
    ) -> str | None:
        """The path and query of a call, or the address that an answer gave for it; None if there is
        neither."""
        first = path.names[0] if path.names else ""
        if first.startswith("url:"):
            given = (urls or {}).get(first.removeprefix("url:"))
            if address := self._api.usable_address(given):
                return address
            values = {**values, first: ""}
        filled = path.fill(values, in_path).removeprefix("/")
        if not filled and first.startswith("url:"):
            return None
        pairs = [f"{quote(name)}={text.fill(values, in_query)}" for name, text in query.items()]
        return f"{filled}?{'&'.join(pairs)}" if pairs else filled

    def _read_id(self, body: Mapping[str, Any]) -> str | None:
        return self._one.submit.id.first(body, read_id)

    def _read_urls(self, body: Mapping[str, Any]) -> Mapping[str, str] | None:
        def usable(value: Any) -> str | None:
            return value if self._api.usable_address(value) else None

        places = ((name, place) for name, place in self._one.submit.urls if place is not None)
        found = {name: place.first(body, usable) for name, place in places}
        return {name: url for name, url in found.items() if url is not None} or None

    def _counts_as(self, body: Mapping[str, Any]) -> int | None:
        """For which status the body of a 2xx answer stands. One that says that the job has failed
        can give the reason as a code."""
        code = status_code_meant(self._one.errors, body)
        return None if code == 400 and self._reader.read(body).status in _ENDS else code

    def _with_file(self, job: UpstreamJob, report: Report) -> Report:
        """If the result is a file, the report with its address."""
        if self._one.result.file is None:
            return report
        path = self._path(self._one.result.file, {}, self._values(job.kind, id=job.id), job.urls)
        if path is None:
            return replace(report, result=None)
        is_whole = path.startswith(("http://", "https://"))
        address = path if is_whole else f"{self._account.base_url.rstrip('/')}/{path}"
        return replace(report, result={"file": address, **(report.result or {})})

    def _cleaned(self, report: Report) -> Report:
        return parsing.clean_report(report, self._account.key)

    async def _ask_keys(self) -> Sequence[Key]:
        """The secrets that are set, or the provider's keys. Raises NoAnswer."""
        signature = self._one.signature
        if self._given_keys or signature is None or signature.keys is None:
            return self._given_keys
        if self._jwks is not None:
            return await self._jwks.ask("", ASK_TIMEOUT, read_jwks)
        keys = signature.keys
        assert keys.path is not None
        assert keys.at is not None
        at, path = keys.at, keys.path.fill(self._values(), in_path).removeprefix("/")

        def read(response: Response) -> Sequence[Key]:
            if response.status_code not in SUCCESS or response.body is None:
                return ()
            secret = at.first(response.body, parsing.first_text)
            try:
                return read_keys(signature, [] if secret is None else [secret])
            except ValueError:
                return ()

        return await self._api.ask(path, ASK_TIMEOUT, read)


def _filled(headers: Mapping[str, Template], values: Values) -> dict[str, str]:
    return {name: text.fill(values, _in_header) for name, text in headers.items()}


def _in_header(_name: str, value: str) -> str:
    """What is not visible ASCII is percent-encoded."""
    return quote(value, safe=" !\"#$%&'()*+,/:;<=>?@[\\]^`{|}~")


def _json(form: Mapping[str, Any] | None, values: Values) -> bytes | None:
    return None if form is None else json.dumps(fill_form(form, values)).encode("ascii")


def _at(place: Place | None, body: Mapping[str, Any]) -> list[str]:
    """The id that is there, if there is one."""
    found = None if place is None else place.first(body, read_id)
    return [] if found is None else [found]
