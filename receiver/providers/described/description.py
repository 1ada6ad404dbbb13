"""The description of a provider: a TOML file that says in which words and places its API differs
from others. The models below are its format; their docstrings are its documentation.

A **pointer** is a JSON Pointer (RFC 6901; `""` is the whole body), or a list of them: the first
that is there, and has the right type, counts. In `[callback]` it can also be `header:NAME`.

A **template** is a text that can have placeholders: `{kind}` and the named groups of its pattern,
`{key}` (the operator's), `{secret}` (the first of the `…_WEBHOOK_SECRET`), `{uuid}` (new for each
call); in a submission `{callback_url}` and `{reference}` (our request_id); in later calls `{id}`
(the provider's); in the call for a result `{value}`. In a path or query they are percent-encoded.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Final, Literal, Self, TypeAlias, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    PlainValidator,
    ValidationInfo,
    model_validator,
)
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import WithDefaultSchema

from receiver.config.toml_lines import Path, Table, parse_toml, read_toml
from receiver.config.values import BaseUrl, HeaderName
from receiver.providers.described.patterns import Pattern, parse_pattern
from receiver.providers.described.pointers import (
    Header,
    Place,
    Pointer,
    parse_place,
    parse_pointer,
    parse_source,
)
from receiver.providers.described.templates import (
    Template,
    parse_form,
    parse_template,
    split_template,
    templates_in,
)
from store.records.jobs import Status

RESERVED: Final = frozenset({"samsar", "replicate", "fal"})
"""Names of the built-in providers. Those of simulated twins begin with `sandbox`."""

NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
STATUS_OF: Final = {
    "queued": Status.PENDING,
    "processing": Status.IN_PROGRESS,
    "completed": Status.COMPLETED,
    "failed": Status.FAILED,
    "cancelled": Status.CANCELLED,
}
"""By the names of the lists of words."""

_ORIGIN: Final = re.compile(r"https?://(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*(:[0-9]{1,5})?")
_PATH: Final = re.compile(r"(/[!-~]*)?")
_URL: Final = "url:"

Scalar: TypeAlias = str | int | float | bool


@dataclass(frozen=True, slots=True)
class _Known:
    """What decides which placeholders a file can have."""

    groups: frozenset[str] = frozenset()
    """The named groups of its pattern."""
    urls: frozenset[str] = frozenset()
    """The members of `submit.urls`."""
    value: bool = False
    """Whether there is a `result.value`."""

    def names(self, more: Iterable[str]) -> set[str]:
        conditions = {"value": self.value, "groups": False}
        conditions |= {f"{_URL}{name}": name in self.urls for name in _Urls.model_fields}
        names = {"key", "secret", "uuid", *(each for each in more if conditions.get(each, True))}
        return names | (self.groups if "kind" in names else set())


# --- the types of members -------------------------------------------------------------------------


def _text(*names: str, fits: Callable[[Template], str | None] = lambda _: None) -> PlainValidator:
    """A template that can have these placeholders too. `fits` says what is wrong with it."""

    def check(value: object, info: ValidationInfo) -> Template:
        template = parse_template(value, (info.context or _Known()).names(names))
        if fault := fits(template):
            raise ValueError(fault)
        return template

    return PlainValidator(check, json_schema_input_type=str)


def _form(*names: str) -> PlainValidator:
    """A table with templates in it."""

    def check(value: object, info: ValidationInfo) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise ValueError("a table is needed")
        known = (info.context or _Known()).names(names)
        return cast(dict[str, Any], parse_form(value, known))

    return PlainValidator(check, json_schema_input_type=dict[str, Any])


def _path_fault(template: Template) -> str | None:
    first, *names = template.names or ("",)
    starts_with_url = template.parts[0] == "" and first.startswith(_URL)
    rest = "".join(template.parts[2::2] if starts_with_url else template.parts[::2])
    if any(name.startswith(_URL) for name in names) or (
        first.startswith(_URL) and not starts_with_url
    ):
        return f"{{{_URL}…}} can only be its beginning"
    if not _PATH.fullmatch(rest) or "?" in rest or "#" in rest or not (rest or starts_with_url):
        return "a path is needed that begins with / and has no query (that has a member of its own)"
    return None


def _header_fault(template: Template) -> str | None:
    fits = all(re.fullmatch("[ -~]*", text) for text in template.parts[::2])
    return None if fits else "a header can only have visible ASCII"


def _needs(name: str) -> AfterValidator:
    """A member that is of no use without another one, declared before it."""

    def check(value: Any, info: ValidationInfo) -> Any:
        if name in info.data and info.data[name] in (None, ()):
            raise ValueError(f"this needs the member {name} too")
        return value

    return AfterValidator(check)


def _instead_of(name: str) -> AfterValidator:
    def check(value: Any, info: ValidationInfo) -> Any:
        if value and info.data.get(name):
            raise ValueError(f"either this or {name} can be given, not both")
        return value

    return AfterValidator(check)


def _pattern(value: object) -> Pattern:
    pattern = parse_pattern(value)
    if taken := pattern.names & {"key", "secret", "uuid", *_SUBMIT, *_RESULT}:
        raise ValueError(f"{{{min(taken)}}} is a placeholder already: name this group otherwise")
    return pattern


def _fitting(kind: str | None, info: ValidationInfo) -> str | None:
    pattern = info.data.get("pattern")
    if kind is not None and pattern is not None and pattern.match(kind) is None:
        raise ValueError("it does not match the pattern")
    return kind


def _origin(text: str) -> str:
    if not _ORIGIN.fullmatch(text):
        raise ValueError("an origin is needed, as in https://api.example.com or https://*.example")
    return text


def word_key(word: object) -> str | None:
    """What words are compared by: their text without case; None if it is no word."""
    match word:
        case bool():
            return str(word).lower()
        case float() if math.isfinite(word) and word == int(word):
            return str(int(word))
        case str() if word.strip():
            return word.strip().casefold()
        case int() | float():
            return str(word)
        case _:
            return None


def _word_list(value: object) -> tuple[Scalar, ...]:
    words = value if isinstance(value, list) else [value]
    for word in words:
        if word_key(word) is None:
            raise ValueError(f"a word is a text, a number, true or false, and not {word!r}")
    return tuple(words)


def _new_words(words: tuple[Scalar, ...], info: ValidationInfo) -> tuple[Scalar, ...]:
    for name, others in info.data.items():
        for word in words:
            if word_key(word) in set(map(word_key, others)):
                raise ValueError(f"{word!r} is in {name} too")
    return words


_Words = Annotated[
    tuple[Scalar, ...],
    PlainValidator(_word_list, json_schema_input_type=list[Scalar]),
    AfterValidator(_new_words),
]
_StatusName = Literal["queued", "processing", "completed", "failed", "cancelled"]
_Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
_Texts: TypeAlias = str | list[str]
_At = Annotated[Place, PlainValidator(parse_place, json_schema_input_type=_Texts)]
_AtOrHeader = Annotated[
    Place,
    PlainValidator(partial(parse_place, parse=parse_source), json_schema_input_type=_Texts),
]
_Pointer = Annotated[
    Pointer,
    PlainValidator(lambda value: parse_place(value).pointers[0], json_schema_input_type=str),
]
_Seconds = Annotated[float, Field(gt=0, le=1e8)]

_CALL: Final = ("kind", "id")
_SUBMIT: Final = ("kind", "callback_url", "reference")
_RESULT: Final = (*_CALL, "value")
_HeaderText = Annotated[Template, _text(fits=_header_fault)]
_SubmitPath = Annotated[Template, _text(*_SUBMIT, fits=_path_fault)]
_SubmitText = Annotated[Template, _text(*_SUBMIT)]
_SubmitHeader = Annotated[Template, _text(*_SUBMIT, fits=_header_fault)]
_SubmitForm = Annotated[dict[str, Any], _form(*_SUBMIT)]
_StatusPath = Annotated[Template, _text(*_CALL, "url:status", fits=_path_fault)]
_CancelPath = Annotated[Template, _text(*_CALL, "url:cancel", fits=_path_fault)]
_ResultPath = Annotated[Template, _text(*_RESULT, "url:result", fits=_path_fault)]
_CallText = Annotated[Template, _text(*_CALL)]
_CallForm = Annotated[dict[str, Any], _form(*_CALL)]
_ResultText = Annotated[Template, _text(*_RESULT)]
_OwnPath = Annotated[Template, _text(fits=_path_fault)]
_OwnText = Annotated[Template, _text()]


# --- the tables -----------------------------------------------------------------------------------


class Kind(Table):
    """What runs: a model, an endpoint."""

    pattern: Annotated[Pattern, PlainValidator(_pattern, json_schema_input_type=str)]
    """The regular expression that a whole `kind` must match. Its named groups are placeholders. It
    has no references to groups, and does not look ahead or behind."""
    example: Annotated[str | None, AfterValidator(_fitting)] = None
    """A kind that fits."""


class _Urls(Table):
    status: _At | None = None
    """Where the answer to a submission has the address for the job's status."""
    cancel: _At | None = None
    """The address that cancels the job."""
    result: _At | None = None
    """The address of its result."""


class Deduplicates(Table):
    """The provider promises that the same request with the same key makes no second job."""

    header: HeaderName
    """Which carries the key: our request_id."""
    seconds: _Seconds = Field(alias="for")
    """For how many seconds from the first request it promises that."""


class Submit(Table):
    """The call that makes a job."""

    path: _SubmitPath
    """A template, after the base address."""
    method: _Method = "POST"
    query: dict[str, _SubmitText] = Field(default_factory=dict)
    """Templates."""
    headers: dict[HeaderName, _SubmitHeader] = Field(default_factory=dict)
    """Templates, for this call alone."""
    input: _Pointer = Pointer(())
    """Where in the body the input goes; by default, it is the body."""
    body: _SubmitForm = Field(default_factory=dict)
    """A table with templates, merged over the input. An input that has a member of it is
    refused."""
    encoding: Literal["json", "multipart"] = "json"
    """How the body is sent. With `multipart`, its members become fields, and can be no tables,
    arrays or files."""
    id: _At
    """Where the answer has the job's id: a text or an integer."""
    urls: _Urls = _Urls()
    """Where the answer has addresses for later calls. They are used if they are at the base
    address's origin or at one of the `hosts`."""
    deduplicates: Deduplicates | None = None
    """Such as `{ header = "Idempotency-Key", for = 86400 }`."""


class StatusCall(Table):
    """The call that asks for a job's status. Its answer is read by `[read]`."""

    path: _StatusPath
    """A template. `{url:status}` in front takes the address of `submit.urls` if there is one, and
    else the rest."""
    method: _Method = "GET"
    query: dict[str, _CallText] = Field(default_factory=dict)
    body: _CallForm | None = None
    """A table with templates, as JSON."""


class Words(Table):
    """The provider's words for each status: texts, numbers, true or false; compared without case. A
    word in none of the lists is no status: the job is asked for again."""

    queued: _Words = ()
    processing: _Words = ()
    completed: _Words = ()
    failed: _Words = ()
    cancelled: _Words = ()

    def statuses(self) -> dict[str, Status]:
        """By `word_key`."""
        lists = {status: getattr(self, name) for name, status in STATUS_OF.items()}
        return {str(word_key(each)): status for status, words in lists.items() for each in words}


class Read(Table):
    """How the answer to a status call is read."""

    word: _At | None = None
    """Where the word for its status is."""
    words: Words = Words()
    absent: _StatusName | None = None
    """The status if there is no word."""
    failed_if: _At | None = None
    """If something is there that is not null, false, zero or empty, a job that has completed by its
    word has failed."""
    result: _At = Place((Pointer(()),))
    """Where the result of a completed job is; by default, the whole body."""
    error: _At | None = None
    """Where the reason of a failure is."""
    progress: _At | None = None
    """Where a number is that says how far the job is."""
    progress_scale: Annotated[float, Field(gt=0, allow_inf_nan=False), _needs("progress")] = 100.0
    """The progress of a job that is complete. What is below 0 or above this is ignored."""
    measured: dict[str, _At] = Field(default_factory=dict)
    """By name in price lists: where the answer has what the provider measured."""


class Result(Table):
    """Where the result is, if not in the answer to the status call."""

    needs_key: bool = False
    """Whether its links are of no use without the operator's key."""
    path: _ResultPath | None = None
    """A template: the path of a second request, made once the job is completed."""
    query: Annotated[dict[str, _ResultText], _needs("path")] = Field(default_factory=dict)
    value: Annotated[_At | None, _needs("path")] = None
    """Where the answer to the status call has what `{value}` stands for: a text or an integer."""
    at: Annotated[_At, _needs("path")] = Place((Pointer(()),))
    """Where the answer to the second request has the result."""
    file: Annotated[_ResultPath | None, _instead_of("path")] = None
    """A template: the path of the file itself, which is the result."""


class Callback(Table):
    """How a callback is read. What is not here is read as `[read]` says."""

    root: _Pointer = Pointer(())
    """Where the part is that all other pointers begin from."""
    id: _AtOrHeader | None = None
    """By default, as in the answer to the submission."""
    word: _AtOrHeader | None = None
    words: Words | None = None
    """In place of all of `[read.words]`."""
    absent: _StatusName | None = None
    result: _At | None = None
    error: _AtOrHeader | None = None
    failed_if: _AtOrHeader | None = None
    thin: bool = False
    """Whether a completion has no result: a status call follows."""
    only: Annotated[bool, _instead_of("thin")] = False
    """Whether there is no other result: an end by callback counts without a status call."""
    challenge: _Pointer | None = None
    """A body that has a text here is no callback: it is answered with that text, as the member of
    that name."""
    reply: str | None = None
    """The text with which callbacks are answered."""


@dataclass(frozen=True, slots=True)
class Part:
    """The part of a signature's header that begins with this."""

    prefix: str


def _moment(value: object) -> Part | Header | Pointer:
    if isinstance(value, str) and value.startswith("part:"):
        return Part(value.removeprefix("part:"))
    if not isinstance(value, str):
        raise ValueError("header:NAME, part:t= or a JSON Pointer is needed")
    return parse_source(value)


def _message_header(value: object) -> Header:
    source = parse_source(value) if isinstance(value, str) else None
    if not isinstance(source, Header):
        raise ValueError("header:NAME is needed")
    return source


def _signed(value: object, info: ValidationInfo) -> Template:
    template = split_template(value)
    for name in template.names:
        what, _, where = name.partition(":")
        if what == "body" and where:
            parse_pointer(where)
        elif what == "header" and where:
            parse_source(name)
        elif name in ("id", "timestamp"):
            if name in info.data and info.data[name] is None:
                raise ValueError(f"{{{name}}} needs the member {name} too")
        elif name not in ("body", "body_base64", "body_sha256", "method", "path", "query"):
            raise ValueError(f"{{{name}}} is no placeholder here")
    return template


def _required(value: dict[str, Template]) -> dict[str, Template]:
    for name in value:
        _message_header(name)
    return value


_COVERS_BODY: Final = frozenset({"body", "body_base64", "body_sha256"})
_PRESETS: Final[Mapping[str, Mapping[str, str]]] = {
    "standard-webhooks": {
        "scheme": "hmac",
        "header": "webhook-signature",
        "split": " ",
        "prefix": "v1,",
        "timestamp": "header:webhook-timestamp",
        "id": "header:webhook-id",
        "signed": "{id}.{timestamp}.{body}",
        "encoding": "base64",
        "secret_encoding": "base64",
    },
    "timestamped": {
        "scheme": "hmac",
        "split": ",",
        "prefix": "v1=",
        "timestamp": "part:t=",
        "signed": "{timestamp}.{body}",
    },
    "body-hex": {"scheme": "hmac"},
}


class Keys(Table):
    """Where the keys that verify are asked for: `jwks`, or `path` and `at`."""

    jwks: BaseUrl | None = None
    """The address of a JSON Web Key Set with Ed25519 keys."""
    at: Annotated[_At | None, _instead_of("jwks")] = None
    """Where the answer has the secret."""
    path: _OwnPath | None = None
    """The path of a call at the provider."""

    @model_validator(mode="after")
    def _is_somewhere(self) -> Self:
        if self.jwks is None and (self.path is None or self.at is None):
            raise ValueError("jwks is needed, or path and at")
        return self


def _usable(keys: Keys | None, info: ValidationInfo) -> Keys | None:
    if keys is not None and keys.jwks is not None and info.data.get("scheme") != "ed25519":
        raise ValueError("jwks has keys for the scheme ed25519 alone")
    return keys


class Signature(Table):
    """How callbacks are signed. If any part of the header fits any secret, the signature is good. A
    callback is verified only if the signature covers its body."""

    scheme: Literal["hmac", "ed25519", "token"]
    """Or a preset: `standard-webhooks`, `timestamped` (one header, `t=…,v1=…`), or `body-hex`."""
    hash: Literal["sha256", "sha512", "sha1"] = "sha256"
    header: HeaderName
    """The header with the signature, or with the token."""
    split: Annotated[str, Field(min_length=1)] | None = None
    """What separates the parts of that header."""
    prefix: str = ""
    """What a part begins with that is a signature, such as `v1=` or `Bearer `."""
    timestamp: (
        Annotated[Part | Header | Pointer, PlainValidator(_moment, json_schema_input_type=str)]
        | None
    ) = None
    """When it was signed: `header:NAME`, `part:t=` (a part of the signature's header) or a pointer;
    in seconds, milliseconds or as an HTTP date."""
    id: Annotated[Header, PlainValidator(_message_header, json_schema_input_type=str)] | None = None
    """The message's id: `header:NAME`."""
    signed: Annotated[Template, PlainValidator(_signed, json_schema_input_type=str)] = Template(
        ("", "body", "")
    )
    """What is signed. Placeholders are `{id}`, `{timestamp}`, `{body}` (its bytes),
    `{body_base64}`, `{body_sha256}` (in hex), `{body:/pointer}`, `{header:NAME}`, `{method}`,
    `{path}` and `{query}`."""
    encoding: Literal["hex", "base64", "base64url"] = "hex"
    """Of the signature."""
    secret_encoding: Literal["utf8", "base64", "hex"] = "utf8"
    """Of the secret, or public key. With `base64`, a `whsec_` in front of it is left out."""
    tolerance: _Seconds = 300.0
    """By how many seconds the timestamp may differ from our clock. An older callback counts as not
    signed."""
    require: Annotated[dict[str, _OwnText], AfterValidator(_required)] = Field(default_factory=dict)
    """By `header:NAME`: what that header must be."""
    keys: Annotated[Keys | None, AfterValidator(_usable)] = None
    """By default, the secrets are those of `…_WEBHOOK_SECRET`."""

    @model_validator(mode="before")
    @classmethod
    def _with_preset(cls, table: Any) -> Any:
        preset = _PRESETS.get(str(table.get("scheme"))) if isinstance(table, dict) else None
        return table if preset is None else {**table, **preset, **table, "scheme": "hmac"}

    @property
    def covers_body(self) -> bool:
        return self.scheme != "token" and not _COVERS_BODY.isdisjoint(self.signed.names)


class Cancel(Table):
    """The call that cancels a job."""

    path: _CancelPath
    """A template; `{url:cancel}` in front as in `[status]`."""
    method: _Method = "POST"
    body: _CallForm | None = None
    only_queued: bool = False
    """Whether it is not sent once the job is under way."""


_Codes = Annotated[
    tuple[Scalar, ...],
    PlainValidator(_word_list, json_schema_input_type=list[Scalar]),
    _needs("code"),
]


class Errors(Table):
    """What the bodies of errors say."""

    message: _At = Place(
        tuple(map(parse_pointer, ("/error/message", "/message", "/error", "/detail")))
    )
    """Where the provider's own words are."""
    code: _At | None = None
    """Where the code of an error is, for APIs that put errors into a 200."""
    ok: _Codes = ()
    """The codes that are no error; if there are any, every other one is."""
    busy: _Codes = ()
    """The codes that count as a 429."""
    denied: _Codes = ()
    """The codes that count as a 401."""
    retry_after: _At = Place((Pointer(("retry_after",)),))
    """Where a number of seconds is after which to try again."""


class Poll(Table):
    every: _Seconds | None = None
    """No two status calls of a job are made within so many seconds."""
    retention: _Seconds | None = None
    """How many seconds a finished job can be asked for."""


class Probe(Table):
    """A free call by which `receiver doctor` sees whether the key is accepted."""

    path: _OwnPath | None = None
    """What to GET."""
    id: Annotated[str | None, _instead_of("path")] = None
    """The id of a job that does not exist: its status is asked for."""
    kind: Annotated[str | None, _needs("id")] = None
    """The kind of that job; by default, the example."""


class Example(Table):
    """For people, and for the simulated twin."""

    input: dict[str, Any] = Field(default_factory=dict)
    result: Any = None
    error: Any = None


class Description(Table):
    """A provider: what its HTTP API is called and where it has what."""

    name: str
    """As in the name of the file: small letters, digits and `-`, at most 32."""
    base_url: BaseUrl | None = None
    """Paths are appended to it. Without one, the setting `…_BASE_URL` is needed."""
    hosts: tuple[Annotated[str, AfterValidator(_origin)], ...] = ()
    """Other origins to which the key may be sent, and whose addresses in answers count; `*.` in
    front of a name stands for all hosts below it."""
    headers: dict[HeaderName, _HeaderText] = Field(default_factory=dict)
    """Templates, sent with every call."""
    docs: tuple[str, ...] = ()
    """The addresses where all of this was read."""
    kind: Kind
    submit: Submit
    status: StatusCall | None = None
    read: Read = Read()
    result: Result = Result()
    callback: Callback = Callback()
    signature: Signature | None = None
    cancel: Cancel | None = None
    errors: Errors = Errors()
    poll: Poll = Poll()
    probe: Probe = Probe()
    example: Example = Example()

    def kind_fault(self, kind: str) -> str | None:
        """What is wrong with a kind, as a sentence; None if it fits."""
        if self.kind.pattern.match(kind) is not None:
            return None
        such_as = f", such as {self.kind.example}" if self.kind.example else ""
        return f"kind must be one that matches {self.kind.pattern.text}{such_as}."

    def uses(self, placeholder: str) -> bool:
        """Whether any of its templates has this placeholder."""
        return any(placeholder in template.names for template in _templates(self))

    @property
    def needs_key(self) -> bool:
        """Whether it cannot be called without a key. One's own server may do without."""
        return self.base_url is not None and self.uses("key")

    @property
    def calls_back(self) -> bool:
        """Whether the provider is given an address for callbacks."""
        return self.uses("callback_url")


def _templates(value: Any) -> Iterator[Template]:
    if isinstance(value, BaseModel):
        for _, each in value:
            yield from _templates(each)
    else:
        yield from templates_in(value)


class _Schema(GenerateJsonSchema):
    """Leaves out defaults that are no JSON."""

    def default_schema(self, schema: WithDefaultSchema) -> JsonSchemaValue:
        if isinstance(schema.get("default"), str | int | float | None):
            return super().default_schema(schema)
        return self.generate_inner(schema["schema"])


def description_schema() -> dict[str, Any]:
    """The JSON Schema of a description."""
    return Description.model_json_schema(schema_generator=_Schema)


def read_description(text: str, name: str) -> Description:
    """Read the description of the provider with this name.

    Raises:
        ValueError: with a line for each fault: `line 12: submit.pth: there is no such member; did
            you mean path?`
    """
    document = parse_toml(text)
    known = _Known(
        _groups(_at(document, "kind", "pattern")),
        frozenset(_table(_at(document, "submit", "urls"))),
        _at(document, "result", "value") is not None,
    )
    return read_toml(Description, text, document, _faults(document, name), known)


def _at(document: Any, *path: str) -> Any:
    for step in path:
        document = document.get(step) if isinstance(document, dict) else None
    return document


def _groups(pattern: object) -> frozenset[str]:
    try:
        return parse_pattern(pattern).names
    except ValueError:
        return frozenset()


def _faults(document: Mapping[str, Any], name: str) -> Iterator[tuple[Path, str]]:
    """What is wrong between the tables. The document can have any other fault too."""
    given = document.get("name")
    if isinstance(given, str):
        if not NAME.fullmatch(given):
            yield ("name",), "small letters, digits and - are needed, a letter first, at most 32"
        elif given in RESERVED or given.split("-")[0] == "sandbox":
            yield ("name",), f"{given} is the name of a built-in provider"
        elif given != name:
            yield ("name",), f"the file is called {name}.toml"
    only = _at(document, "callback", "only") is True
    if "status" not in document and not only:
        yield ("status",), "this table is needed, unless callback.only = true"
    read, callback = (_at(document, table) for table in ("read", "callback"))
    says = {**_table(read), **(_table(callback) if only else {})}
    table = "callback" if only and "read" not in document else "read"
    if "word" not in says and "absent" not in says:
        yield (table,), "word or absent is needed: nothing says how a job goes"
    elif (
        "word" in says and not _at(says, "words", "completed") and says.get("absent") != "completed"
    ):
        yield (table, "words"), "no word is given for completed"
    calls_back = "{callback_url}" in str(document.get("submit"))
    for table in ("callback", "signature"):
        if table in document and not calls_back:
            yield (table,), "this needs {callback_url} in submit.body, .query or .headers"


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
