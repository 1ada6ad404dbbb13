"""The simulated twin of a described provider: its API as far as the description tells of it."""

import hashlib
import hmac
import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from receiver.domain.prices import PriceList
from receiver.providers.described.description import Description, Part, Scalar, Signature, Words
from receiver.providers.described.pointers import Header, Place, Pointer, put
from receiver.providers.described.reading import Reader, callback_reader, status_reader
from receiver.providers.described.signatures import encode_bytes, read_keys, signed_message
from receiver.providers.described.templates import Template, in_path, in_query, read_form
from receiver.simulator.api import SimulatorApi, json_answer
from receiver.upstream.shapes import Body, JobView, Refused, Submission
from store.records.jobs import Status
from store.records.times import Millis

JWKS: Final = ".well-known/jwks.json"
"""The path of the twin's own keys."""

_SECRET: Final = hashlib.sha256(b"sandbox").hexdigest()
"""A text that is also hex and base64."""
_PRIVATE_KEY: Final = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(_SECRET))
_LISTS: Final = {
    Status.PENDING: ("queued", "processing"),
    Status.IN_PROGRESS: ("processing", "queued"),
    Status.COMPLETED: ("completed",),
    Status.FAILED: ("failed",),
    Status.CANCELLED: ("cancelled", "failed"),
}
"""Of words, by status: the first that has any is used."""


def twin_secret(description: Description) -> str:
    """With which a twin signs, if no secret is set."""
    signature = description.signature
    if signature is None or signature.scheme != "ed25519":
        return _SECRET
    raw = _PRIVATE_KEY.public_key().public_bytes_raw()
    return encode_bytes(raw, signature.secret_encoding)


class DescribedApi(SimulatorApi):
    path = "/"

    def __init__(
        self,
        description: Description,
        secret: str,
        api_key: str | None = None,
        prices: PriceList | None = None,
    ) -> None:
        """`secret` is that of its callbacks."""
        super().__init__(api_key, prices)
        self.name, self.measures = description.name, tuple(description.read.measured)
        self._one, self._secret = description, secret
        self._statuses, self._callbacks = status_reader(description), callback_reader(description)

    def routes(self) -> Sequence[Route]:
        return list(self._routes())

    def _routes(self) -> Iterator[Route]:
        one, signature = self._one, self._one.signature
        if signature is not None and signature.keys is not None:
            keys = signature.keys
            yield Route(f"/{JWKS}", self._jwks)
            if keys.path is not None:
                yield self.call("GET", _route(keys.path), self._show_secret)
        if one.probe.path is not None:
            yield self.call("GET", _route(one.probe.path), self._probe)
        if one.result.file is not None:
            yield self.call("GET", _route(one.result.file), self.result_file)
        yield self.call("GET", "/files/{id}.webm", self.result_file)
        if one.result.path is not None:
            yield self.call("GET", _route(one.result.path), self._result)
        if one.cancel is not None:
            yield self.call(one.cancel.method, _route(one.cancel.path), self._cancel)
        if one.status is not None:
            yield self.call(one.status.method, _route(one.status.path), self._status)
        yield self.submission(_route(one.submit.path), self._read, method=one.submit.method)

    # --- requests ---------------------------------------------------------------------------------

    def key_of(self, request: Request) -> str | None:
        for name, template in self._one.headers.items():
            if "key" in template.names:
                found = template.read(request.headers.get(name, ""))
                key = "" if found is None else found["key"]
                return key or ("" if self._one.needs_key else None)
        return None

    async def read_body(self, request: Request) -> Body:
        if self._one.submit.encoding == "json":
            return await super().read_body(request)
        head = f"Content-Type: {request.headers.get('content-type', '')}\r\n\r\n".encode("latin-1")
        form = BytesParser(policy=HTTP).parsebytes(head + await request.body())
        fields = {}
        for part in form.iter_parts():
            name = part.get_param("name", header="content-disposition")
            content = part.get_payload(decode=True)
            assert isinstance(content, bytes)
            fields[str(name)] = content.decode()
        if not fields:
            raise HTTPException(400, "The body is no form")
        return fields

    def _read(self, request: Request, body: Body) -> Submission:
        submit, pattern = self._one.submit, self._one.kind.pattern
        found = read_form(submit.body, body)
        if found is None:
            raise Refused(400, "a member of the body is not as it has to be")
        values: dict[str, str] = {**request.path_params, **found}
        for templates, given in (
            (submit.query, request.query_params),
            (submit.headers, request.headers),
        ):
            for name, template in templates.items():
                values |= template.read(given.get(name, "")) or {}
        kind = values.get("kind") or _kind_of(pattern.text, values)
        if pattern.match(kind) is None:
            raise Refused(400, "there is no such kind")
        job_input = _without(_there(submit.input, body), _there(submit.input, submit.body))
        return Submission(kind, job_input, values.get("callback_url"))

    def _id_in(self, request: Request, query: Mapping[str, Template], body: Any = None) -> str:
        values: dict[str, str] = dict(request.path_params)
        for name, template in query.items():
            values |= template.read(request.query_params.get(name, "")) or {}
        if body is not None:
            values |= read_form(self._one.status and self._one.status.body, body) or {}
        return values.get("id") or values.get("value") or ""

    # --- answers ----------------------------------------------------------------------------------

    async def _status(self, request: Request) -> Response:
        call = self._one.status
        assert call is not None
        body = None if call.body is None else await super().read_body(request)
        view = self.asked(self._id_in(request, call.query, body))
        return json_answer(_encoded(self._good(self._told(self._statuses, view))))

    async def _result(self, request: Request) -> Response:
        result = self._one.result
        view = self.jobs.view(self.find(self._id_in(request, result.query)))
        if view.status is not Status.COMPLETED:
            raise HTTPException(404, "There is no result.")
        return json_answer(_encoded(self._good(_put({}, result.at, json.loads(view.output)))))

    async def _cancel(self, request: Request) -> Response:
        assert self._one.cancel is not None
        job = self.find(request.path_params.get("id", ""))
        if self._one.cancel.only_queued and self.jobs.view(job).status is not Status.PENDING:
            raise HTTPException(400, "It is under way.")
        self.jobs.cancel(job)
        return json_answer(_encoded(self._told(self._statuses, self.jobs.view(job))))

    async def _probe(self, _request: Request) -> Response:
        return JSONResponse({})

    async def _show_secret(self, _request: Request) -> Response:
        assert self._one.signature is not None
        assert self._one.signature.keys is not None
        return JSONResponse(_put({}, self._one.signature.keys.at, self._secret))

    async def _jwks(self, _request: Request) -> Response:
        raw = _PRIVATE_KEY.public_key().public_bytes_raw()
        key = {"kty": "OKP", "crv": "Ed25519", "x": urlsafe_b64encode(raw).decode().rstrip("=")}
        return JSONResponse({"keys": [key]})

    def accepted(self, job: JobView) -> bytes:
        body = self._good(_put({}, self._one.submit.id, job.id))
        calls = {"status": self._one.status, "cancel": self._one.cancel}
        for name, place in self._one.submit.urls:
            call = calls.get(name)
            if place is not None and call is not None:
                body = _put(body, place, self._address(call.path, getattr(call, "query", {}), job))
        return _encoded(body)

    def _address(self, path: Template, query: Mapping[str, Template], job: JobView) -> str:
        groups = self._one.kind.pattern.match(job.kind) or {}
        unused = dict.fromkeys((*path.names, "key", "secret", "uuid"), "")
        values = {**unused, **groups, "kind": job.kind, "id": job.id}
        target = path.fill(values, in_path) or f"/{path.names[0]}/{job.id}"
        pairs = [f"{name}={text.fill(values, in_query)}" for name, text in query.items()]
        address = f"{self.base_url}{target.removeprefix('/')}"
        return f"{address}?{'&'.join(pairs)}" if pairs else address

    def output(self, job_input: Mapping[str, Any], link: str) -> Any:
        if self._one.result.needs_key:
            link = link.replace("/results/", "/files/")
        example = self._one.example.result
        return {"url": link} if example is None else _with_links(example, link)

    def error(self, status_code: int, detail: str) -> Body:
        errors = self._one.errors
        body: Body = _put({}, errors.message, detail)
        codes = {429: errors.busy, 401: errors.denied}.get(status_code, ())
        return _put(body, errors.code, codes[0]) if codes else body

    def _good(self, body: Any) -> Any:
        errors = self._one.errors
        return _put(body, errors.code, errors.ok[0]) if errors.ok else body

    def _told(self, reader: Reader, job: JobView) -> Any:
        """The body that says this of a job to who reads it so."""
        part: Any = {}
        if job.status is Status.COMPLETED:
            part = _put(part, reader.result, json.loads(job.output))
            part = _put(part, self._one.result.value, job.id)
            for name, amount in self.measured(job).items():
                part = _put(part, reader.measured[name], amount)
        if (word := _word(reader.words, job.status)) is None and job.status is Status.FAILED:
            word = _word(reader.words, Status.COMPLETED)
            part = _put(part, reader.failed_if, job.error)
        if job.error is not None:
            part = _put(part, reader.error, job.error)
        if word is not None:
            part = _put(part, reader.word, word)
        if job.progress is not None:
            part = _put(part, reader.progress, job.progress / 100 * reader.progress_scale)
        part = _put(part, reader.id, job.id)
        return put({}, reader.root.steps, part)

    # --- callbacks --------------------------------------------------------------------------------

    def webhook(self, job: JobView) -> bytes | None:
        reader = self._callbacks
        if not job.is_final and not reader.words.processing:
            return None
        can_fail = reader.words.failed or reader.failed_if
        if job.status in (Status.FAILED, Status.CANCELLED) and not can_fail:
            return None
        body = self._told(reader, job)
        at = None if self._one.signature is None else self._one.signature.timestamp
        if isinstance(at, Pointer):
            body = put(body, at.steps, self.jobs.clock.now() // 1_000)
        return _encoded(body)

    def sign(self, job: JobView, body: bytes, now: Millis) -> Mapping[str, str]:
        reader, headers = self._callbacks, dict[str, str]()
        told = {reader.id: job.id, reader.word: _word(reader.words, job.status)}
        for place, value in told.items():
            for source in () if place is None else place.sources:
                if isinstance(source, Header):
                    headers[source.name] = str(value)
        if (signature := self._one.signature) is not None:
            headers |= self._signed(signature, job, body, now)
        return headers

    def _signed(
        self, signature: Signature, job: JobView, body: bytes, now: Millis
    ) -> dict[str, str]:
        headers, moment = dict[str, str](), str(now // 1_000)
        for name in signature.signed.names:
            if name.startswith("header:"):
                headers[name.removeprefix("header:").lower()] = "sandbox"
        if signature.id is not None:
            headers[signature.id.name] = f"msg_{job.id}_{job.status}".lower()
        if isinstance(signature.timestamp, Header):
            headers[signature.timestamp.name] = moment
        values = {"key": self._api_key or "sandbox", "secret": self._secret, "uuid": ""}
        for name, template in signature.require.items():
            headers[name.removeprefix("header:").lower()] = template.fill(values)
        made = signature.prefix + self._signature(signature, job, headers, moment, body)
        if isinstance(signature.timestamp, Part):
            made = f"{signature.timestamp.prefix}{moment}{signature.split or ' '}{made}"
        return {**headers, signature.header.lower(): made}

    def _signature(
        self,
        signature: Signature,
        job: JobView,
        headers: Mapping[str, str],
        moment: str,
        body: bytes,
    ) -> str:
        if signature.scheme == "token":
            return self._secret
        made = self.jobs.find(job.id)
        url = (made and made.submission.webhook_url) or ""
        target = "/" + url.partition("://")[2].partition("/")[2]
        given = {**headers, ":method": "POST", ":path": target}
        message = signed_message(signature, given, moment, body)
        if signature.scheme == "ed25519":
            return encode_bytes(_PRIVATE_KEY.sign(message), signature.encoding)
        (key,) = read_keys(signature, [self._secret])
        assert isinstance(key, bytes)
        return encode_bytes(hmac.digest(key, message, signature.hash), signature.encoding)


def _route(path: Template) -> str:
    """The path of a route: kinds have slashes, and an address in an answer is one of the twin's."""
    parts = list(path.parts)
    parts[1::2] = [
        "" if name.startswith("url:") else "{kind:path}" if name == "kind" else f"{{{name}}}"
        for name in path.names
    ]
    return "".join(parts) or f"/{path.names[0]}/{{id}}"


def _kind_of(pattern: str, values: Mapping[str, str]) -> str:
    """The kind with these named groups, if nothing but plain text stands between them."""
    return re.sub(r"\(\?P<(\w+)>[^()]*\)", lambda found: values.get(found[1], ""), pattern)


def _word(words: Words, status: Status) -> Scalar | None:
    lists: Iterator[tuple[Scalar, ...]] = (getattr(words, name) for name in _LISTS[status])
    return next((each[0] for each in lists if each), None)


def _put(body: Any, place: Place | None, value: Any) -> Any:
    """The body with the value at the first place in it."""
    pointers = () if place is None else place.pointers
    return put(body, pointers[0].steps, value) if pointers else body


def _there(pointer: Pointer, value: Any) -> Any:
    try:
        return pointer.find(value)
    except KeyError:
        return {}


def _without(given: Any, form: Any) -> dict[str, Any]:
    """The members that the description has not added."""
    if not isinstance(given, dict) or not isinstance(form, dict):
        raise Refused(400, "an input is needed")
    kept: dict[str, Any] = {}
    for name, value in given.items():
        if name not in form:
            kept[name] = value
        elif isinstance(form[name], dict) and (inner := _without(value, form[name])):
            kept[name] = inner
    return kept


def _with_links(value: Any, link: str) -> Any:
    match value:
        case dict():
            return {name: _with_links(each, link) for name, each in value.items()}
        case list():
            return [_with_links(each, link) for each in value]
        case str() if value.startswith(("http://", "https://")):
            return link
        case _:
            return value


def _encoded(body: Any) -> bytes:
    return json.dumps(body).encode("ascii")
