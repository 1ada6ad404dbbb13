"""Samsar's video API (as of February 2025).

The shape of its callbacks, status answers and errors has changed more than once, and has no version
number. So every known name of a value is tried, a value of the wrong type counts as absent, and no
input makes a reader raise. Texts are cleaned and truncated; the raw callback keeps the whole.

An `input` is checked by the provider's rules. Errors have its own words where it has any, because
clients written for it may compare them. Unknown members are not errors: they go upstream unchanged.
"""

import asyncio
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from typing import Any, Final
from urllib.parse import urlencode

from receiver.domain.answers import Report, StatusAnswer, SubmitAnswer
from receiver.domain.results import LONGEST_LINK
from receiver.upstream import parsing
from receiver.upstream.api import Account, Api, with_input
from receiver.upstream.contract import InputFault, Provider, UpstreamJob
from store.records.jobs import Status

KINDS: Final = ("create_movie", "create_narrative")
PROMPT_CHARACTERS: Final = 500
PROMPT_LINES: Final = 20
DURATION_SECONDS: Final = 120
MEMBERS_COMPARED: Final = 50
"""How many members of an `input` are compared with a missing one, so that the cost is bounded."""
KNOWN_IMAGE_MODELS: Final = [
    *("IMAGEN3", "IMAGEN3FLASH", "PHOTON", "PHOTONFLASH"),
    *("FLUX1.1PRO", "FLUX1.1ULTRA", "FLUX1PRO", "FLUX1DEV"),
    *("DALLE3", "RECRAFTV3", "RECRAFT20B", "SDV3.5", "SANA"),
]
"""All model keys of the provider, allowed here or not. A known key that is not allowed has its own
message."""
KNOWN_VIDEO_MODELS: Final = [
    *("LUMA", "KLINGIMGTOVIDPRO", "RUNWAYML"),
    *("SDVIDEO", "HAILUO", "HAIPER2.0", "SKYREELSI2V", "VEO"),
]
NARRATIVE_VIDEO_MODELS: Final = ["RUNWAYML"]
"""Narratives may use these besides the configured models; movies may not."""
SPEECH_PROVIDERS: Final = ["OPENAI", "PLAYHT"]

# The ECMAScript `\s` of our OpenAPI document. Python's own `strip` also removes some control
# characters.
_SPACES = "\t\n\v\f\r \u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff"
_WHITE_SPACE = _SPACES + "".join(map(chr, range(0x2000, 0x200B)))

# Our status words are the provider's own.
_STATUSES: Final = {**Status.__members__, "CANCELED": Status.CANCELLED}

# The members that may have the link, in order of preference.
_LINK_NAMES: Final = (
    "videoUrl",
    "result_url",
    "result_urls",
    "video",
    "url",
    "video_link",
    "videoLink",
    "remoteURL",
)

# Spaces are allowed, since storage links have them. Control characters are not, since a link ends
# up in a Location header; nor are characters that cannot be kept.
_LINK = re.compile(
    r"https?://[^\s/?#\x00-\x1f\x7f\ud800-\udfff\ufffd][^\x00-\x1f\x7f\ud800-\udfff\ufffd]*",
    re.IGNORECASE,
)


class Samsar(Provider):
    """The provider `samsar`, or under another name, any service with the same API."""

    absent_job = UpstreamJob("0" * 24, "create_movie", {})

    def __init__(
        self, account: Account, rules: "InputRules", *, auth_header: str = "API-KEY"
    ) -> None:
        """Does no I/O. The key is sent in `auth_header`, as `Bearer KEY` if that is
        `Authorization`."""
        self.name = account.name
        self._key = key = account.key
        self._rules = rules
        bearer = auth_header.lower() == "authorization"
        self._api = Api(account, {auth_header: f"Bearer {key}" if bearer else key}, read_message)

    @staticmethod
    def check_kind(kind: str) -> str | None:
        return None if kind in KINDS else f"kind must be one of {', '.join(KINDS)}."

    def check(self, kind: str, body_input: Mapping[str, Any]) -> list[InputFault]:
        """The errors in `input`; the first is the one that the provider would report."""
        return self._rules.faults(kind, body_input)

    async def submit(self, kind: str, input_json: str, callback_url: str) -> SubmitAnswer:
        if kind == "create_narrative":
            input_json = await asyncio.to_thread(with_lines, input_json)
        body = with_input(input_json, {"webhookUrl": callback_url})
        return await self._api.submit(kind, body, read_request_id)

    async def status(self, job: UpstreamJob) -> StatusAnswer:
        """Read a job's status. An answer that names another job says nothing about this one."""

        def read(body: Mapping[str, Any]) -> Report:
            is_another = parsing.read_id(body.get("request_id")) not in (None, job.id)
            return Report() if is_another else self.read(body)

        return await self._api.status(f"status?{urlencode({'request_id': job.id})}", read)

    def read(self, body: Mapping[str, Any]) -> Report:
        return read_report(body, self._key)

    async def close(self) -> None:
        await self._api.close()


def read_report(body: Mapping[str, Any], secret: str = "") -> Report:
    """Read the body of a callback or a status answer; `secret` is redacted in its texts."""
    report = Report(
        status=parsing.read_status(body.get("status"), _STATUSES),
        provider_status=parsing.first_text(body.get("status")),
        progress=_progress(body.get("progress")),
        result=_result(body),
        message=read_message(body),
        provider_request_id=read_request_id(body),
    )
    return parsing.clean_report(report, secret)


def read_request_id(body: Mapping[str, Any]) -> str | None:
    """The id in `body`, as text of 1 to 200 characters.

    `session_id` is used only if there is no `request_id`; when both were seen, they were equal.
    """
    named = body.get("request_id")
    return parsing.read_id(body.get("session_id") if named is None else named)


def read_message(body: Mapping[str, Any]) -> str | None:
    """The provider's human-readable message, of success or failure."""
    error = body.get("error")
    inner = error.get("message") if isinstance(error, Mapping) else None
    return parsing.first_text(body.get("message"), inner, error, body.get("expressGenerationError"))


def _progress(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 <= value <= 100 else None  # NaN fails both


def _result(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """The provider's `result` with `videoUrl` added; None if there is no link. Links outside
    `result` are added to it, unless it has one of the same name."""
    result: Any = body.get("result")
    if isinstance(result, str | list):
        result = {"result_urls" if isinstance(result, list) else "videoUrl": result}
    result = dict(result) if isinstance(result, dict) else {}
    for name in _LINK_NAMES:
        if (value := body.get(name)) and _link({name: result.get(name)}) is None:
            result[name] = value
    link = _link(result)
    result.pop("videoUrl", None)
    return None if link is None else {**result, "videoUrl": link}


def _link(part: Mapping[str, Any]) -> str | None:
    texts = (text.strip() for text in _candidates(part) if isinstance(text, str))
    links = (text for text in texts if len(text) <= LONGEST_LINK and _LINK.fullmatch(text))
    return next(links, None)


def _candidates(part: Mapping[str, Any]) -> Iterator[Any]:
    for name in _LINK_NAMES:
        value = part.get(name)
        if name == "video" and isinstance(value, dict):
            value = value.get("url")
        yield from value if name == "result_urls" and isinstance(value, list) else [value]


# --- input ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class InputRules:
    """The validation rules, with the configured model keys."""

    image_models: Sequence[str]
    video_models: Sequence[str]

    def faults(self, kind: str, body_input: Mapping[str, Any]) -> list[InputFault]:
        """All errors, in the order of the provider's checks; it would report only the first. `kind`
        is one of `KINDS`."""
        check = self._movie_faults if kind == "create_movie" else self._narrative_faults
        return list(check(body_input))

    def _movie_faults(self, given: Mapping[str, Any]) -> Iterator[InputFault]:
        yield from _prompt_faults(given.get("prompt"))
        yield from _model_faults(given, "image_model", self.image_models, KNOWN_IMAGE_MODELS)
        yield from _model_faults(given, "video_model", self.video_models, KNOWN_VIDEO_MODELS)
        yield from _duration_faults(given)
        yield from _text_faults(given, "aspect_ratio", "Aspect ratio is invalid")

    def _narrative_faults(self, given: Mapping[str, Any]) -> Iterator[InputFault]:
        yield from _prompt_list_faults(given.get("prompt_list"))
        yield from _model_faults(given, "image_model", self.image_models, KNOWN_IMAGE_MODELS)
        generative = given.get("add_generative_video")
        if generative is not None and not isinstance(generative, bool):
            yield InputFault("/input/add_generative_video", "Generative video flag is invalid")
        if generative is True or given.get("video_model") is not None:
            allowed = [*self.video_models, *NARRATIVE_VIDEO_MODELS]
            yield from _model_faults(given, "video_model", allowed, KNOWN_VIDEO_MODELS)
        yield from _text_faults(given, "speaker", "Speaker is invalid")
        speech = given.get("provider")
        if speech is not None and speech not in SPEECH_PROVIDERS:
            yield InputFault("/input/provider", "Provider is invalid")
        yield from _text_faults(given, "aspect_ratio", "Aspect ratio is invalid")


def with_lines(input_json: str) -> str:
    """A narrative's input as it goes upstream: a string `prompt_list` is split, since the provider
    would take each of its characters for a line."""
    sent: dict[str, Any] = json.loads(input_json)
    if isinstance(prompts := sent.get("prompt_list"), str):
        sent["prompt_list"] = list(_lines(prompts))
    return json.dumps(sent)


def _lines(prompts: str) -> Iterator[str]:
    lines = prompts.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return (line for line in lines if line.strip(_WHITE_SPACE))


def _prompt_faults(prompt: Any) -> Iterator[InputFault]:
    if _is_blank(prompt):
        yield InputFault("/input/prompt", "Prompt is required")
    elif len(prompt) > PROMPT_CHARACTERS:
        yield InputFault("/input/prompt", "Prompt is too long")


def _prompt_list_faults(prompts: Any) -> Iterator[InputFault]:
    # A list that is too long is one error: its lines are not checked.
    lines = list(islice(_lines(prompts), PROMPT_LINES + 1)) if isinstance(prompts, str) else prompts
    if not isinstance(lines, list) or not lines:
        yield InputFault("/input/prompt_list", "Prompt is required")
        return
    if len(lines) > PROMPT_LINES:
        yield InputFault("/input/prompt_list", "Prompt is too long")
        return
    for index, line in enumerate(lines):
        if _is_blank(line):
            yield InputFault(f"/input/prompt_list/{index}", "Prompt is required")


def _model_faults(
    given: Mapping[str, Any], name: str, allowed: Sequence[str], known: Sequence[str]
) -> Iterator[InputFault]:
    value = given.get(name)
    if value not in allowed:
        model = name.replace("_", " ")
        detail = f"Invalid {model}"
        if value in known:
            detail = f"{model.capitalize()} is not supported for this type"
        hint = f"it must be one of {', '.join(sorted({*allowed}))}"
        yield InputFault(f"/input/{name}", detail, hint)


def _duration_faults(given: Mapping[str, Any]) -> Iterator[InputFault]:
    duration: Any = given.get("duration")
    # In Python, bool is an int. NaN fails any comparison; isfinite() would overflow on a huge int.
    is_number = isinstance(duration, int | float) and not isinstance(duration, bool)
    if not is_number or not 0 < duration < math.inf:
        yield InputFault("/input/duration", "Duration is invalid", _duration_hint(given))
    elif duration > DURATION_SECONDS:
        yield InputFault("/input/duration", "Duration is too long")


def _duration_hint(given: Mapping[str, Any]) -> str:
    if "duration" in given:
        return "it must be a number over 0, in seconds"
    misspelt = get_close_matches("duration", [*islice(given, MEMBERS_COMPARED)], n=1)
    return "it is missing" + (f"; did you mean it by {misspelt[0]}?" if misspelt else "")


def _text_faults(given: Mapping[str, Any], name: str, detail: str) -> Iterator[InputFault]:
    # null means absent: that is how clients leave out an optional member.
    if not isinstance(given.get(name), str | None):
        yield InputFault(f"/input/{name}", detail)


def _is_blank(value: Any) -> bool:
    return not isinstance(value, str) or not value.strip(_WHITE_SPACE)
