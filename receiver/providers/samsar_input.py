"""Validates a job's `input` by Samsar's rules, and prepares it for sending.

The messages are the provider's if it has one; its clients may compare them. Unknown members are not
errors: they go upstream unchanged.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from receiver.providers.contract import InputFault

KINDS = ("create_movie", "create_narrative")

PROMPT_CHARACTERS = 500
PROMPT_LINES = 20
DURATION_SECONDS = 120

KNOWN_IMAGE_MODELS = frozenset(
    {
        *("IMAGEN3", "IMAGEN3FLASH", "PHOTON", "PHOTONFLASH"),
        *("FLUX1.1PRO", "FLUX1.1ULTRA", "FLUX1PRO", "FLUX1DEV"),
        *("DALLE3", "RECRAFTV3", "RECRAFT20B", "SDV3.5", "SANA"),
    }
)
"""All keys of the provider, allowed here or not. A known key that is not allowed has its own
message."""

KNOWN_VIDEO_MODELS = frozenset(
    {
        *("LUMA", "KLINGIMGTOVIDPRO", "RUNWAYML"),
        *("SDVIDEO", "HAILUO", "HAIPER2.0", "SKYREELSI2V", "VEO"),
    }
)
NARRATIVE_VIDEO_MODELS = frozenset({"RUNWAYML"})
"""Narratives may use these besides the configured models; movies may not."""

SPEECH_PROVIDERS = frozenset({"OPENAI", "PLAYHT"})

_SPACES = "\t\n\v\f\r \u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff"
_WHITE_SPACE = _SPACES + "".join(map(chr, range(0x2000, 0x200B)))
"""The ECMAScript `\\s` of our OpenAPI document. Python's own `strip` also removes some control
characters."""


@dataclass(frozen=True, slots=True)
class InputRules:
    """The validation rules, with the configured model keys."""

    image_models: frozenset[str]
    video_models: frozenset[str]

    def faults(self, kind: str, body_input: Mapping[str, Any]) -> list[InputFault]:
        """All errors that the provider would report, in the order of its checks. `kind` is one of
        `KINDS`."""
        check = self._movie_faults if kind == "create_movie" else self._narrative_faults
        return list(check(body_input))

    def _movie_faults(self, given: Mapping[str, Any]) -> Iterator[InputFault]:
        yield from _prompt_faults(given.get("prompt"))
        yield from self._image_model_faults(given)
        yield from _model_faults(given, "video_model", self.video_models, KNOWN_VIDEO_MODELS)
        yield from _duration_faults(given.get("duration"))
        yield from _text_faults(given, "aspect_ratio", "Aspect ratio is invalid")

    def _narrative_faults(self, given: Mapping[str, Any]) -> Iterator[InputFault]:
        yield from _prompt_list_faults(given.get("prompt_list"))
        yield from self._image_model_faults(given)
        generative = given.get("add_generative_video")
        if generative is not None and not isinstance(generative, bool):
            yield InputFault("/input/add_generative_video", "Generative video flag is invalid")
        if generative is True or given.get("video_model") is not None:
            allowed = self.video_models | NARRATIVE_VIDEO_MODELS
            yield from _model_faults(given, "video_model", allowed, KNOWN_VIDEO_MODELS)
        yield from _text_faults(given, "speaker", "Speaker is invalid")
        speech = given.get("provider")
        if speech is not None and not _is_one_of(speech, SPEECH_PROVIDERS):
            yield InputFault("/input/provider", "Provider is invalid")
        yield from _text_faults(given, "aspect_ratio", "Aspect ratio is invalid")

    def _image_model_faults(self, given: Mapping[str, Any]) -> Iterator[InputFault]:
        return _model_faults(given, "image_model", self.image_models, KNOWN_IMAGE_MODELS)


def upstream_input(kind: str, body_input: Mapping[str, Any]) -> dict[str, Any]:
    """`body_input` as it goes upstream: unchanged, except that a string `prompt_list` is split.

    The provider would treat each character of a string as a line, so it always gets an array.
    """
    sent = dict(body_input)
    if kind == "create_narrative" and isinstance(prompts := sent.get("prompt_list"), str):
        sent["prompt_list"] = list(_lines(prompts))
    return sent


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
    given: Mapping[str, Any], name: str, allowed: frozenset[str], known: frozenset[str]
) -> Iterator[InputFault]:
    value = given.get(name)
    if not _is_one_of(value, allowed):
        model = name.replace("_", " ")
        detail = f"Invalid {model}"
        if _is_one_of(value, known):
            detail = f"{model.capitalize()} is not supported for this type"
        hint = f"one of {', '.join(sorted(allowed))} is needed"
        yield InputFault(f"/input/{name}", detail, hint)


def _duration_faults(duration: Any) -> Iterator[InputFault]:
    # In Python, bool is an int. NaN fails any comparison; isfinite() would overflow on a huge int.
    is_number = isinstance(duration, int | float) and not isinstance(duration, bool)
    if not is_number or not 0 < duration < math.inf:
        yield InputFault("/input/duration", "Duration is invalid")
    elif duration > DURATION_SECONDS:
        yield InputFault("/input/duration", "Duration is too long")


def _text_faults(given: Mapping[str, Any], name: str, detail: str) -> Iterator[InputFault]:
    # null means absent: that is how clients leave out an optional member.
    if not isinstance(given.get(name), str | None):
        yield InputFault(f"/input/{name}", detail)


def _is_blank(value: Any) -> bool:
    return not isinstance(value, str) or not value.strip(_WHITE_SPACE)


def _is_one_of(value: Any, keys: frozenset[str]) -> bool:
    return isinstance(value, str) and value in keys
