"""What Samsar takes as the `input` of a job: its rules, in its own words, and what we send it.

The messages are the provider's where it has one; its clients may compare them. Unknown members are
nobody's fault here: they go upstream as they came.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from receiver.providers.contract import InputFault

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
"""Keys that exist at the provider, whether a job may name them or not: they choose the message."""

KNOWN_VIDEO_MODELS = frozenset(
    {
        *("LUMA", "KLINGIMGTOVIDPRO", "RUNWAYML"),
        *("SDVIDEO", "HAILUO", "HAIPER2.0", "SKYREELSI2V", "VEO"),
    }
)
NARRATIVE_VIDEO_MODELS = frozenset({"RUNWAYML"})
"""What a narrative takes besides the models that are configured; a movie refuses it."""

SPEECH_PROVIDERS = frozenset({"OPENAI", "PLAYHT"})

_LINE_BREAK = re.compile(r"\r\n|\r|\n")
_SPACES = "\t\n\v\f\r \u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff"
_WHITE_SPACE = _SPACES + "".join(map(chr, range(0x2000, 0x200B)))
"""What `\\s` means in our OpenAPI document, which is ECMAScript's: Python's own `strip` takes some
control characters as well."""


@dataclass(frozen=True, slots=True)
class InputRules:
    """The rules, with the model keys that are configured."""

    image_models: frozenset[str]
    video_models: frozenset[str]

    def faults(self, kind: str, body_input: Mapping[str, Any]) -> list[InputFault]:
        """Everything the provider would refuse, in the order in which it checks."""
        match kind:
            case "create_movie":
                return list(self._movie_faults(body_input))
            case "create_narrative":
                return list(self._narrative_faults(body_input))
            case _:
                return [InputFault("/kind", "Kind is not supported")]

    def _movie_faults(self, given: Mapping[str, Any]) -> Iterator[InputFault]:
        yield from _prompt_faults(given.get("prompt"))
        yield from self._image_model_faults(given.get("image_model"))
        yield from _video_model_faults(given.get("video_model"), self.video_models)
        yield from _duration_faults(given.get("duration"))
        yield from _text_faults(given, "aspect_ratio", "Aspect ratio is invalid")

    def _narrative_faults(self, given: Mapping[str, Any]) -> Iterator[InputFault]:
        yield from _prompt_list_faults(given.get("prompt_list"))
        yield from self._image_model_faults(given.get("image_model"))
        generative = given.get("add_generative_video")
        if generative is not None and not isinstance(generative, bool):
            yield InputFault("/input/add_generative_video", "Generative video flag is invalid")
        video_model = given.get("video_model")
        if generative is True or video_model is not None:
            yield from _video_model_faults(video_model, self.video_models | NARRATIVE_VIDEO_MODELS)
        yield from _text_faults(given, "speaker", "Speaker is invalid")
        speech = given.get("provider")
        if speech is not None and not _is_one_of(speech, SPEECH_PROVIDERS):
            yield InputFault("/input/provider", "Provider is invalid")
        yield from _text_faults(given, "aspect_ratio", "Aspect ratio is invalid")

    def _image_model_faults(self, value: Any) -> Iterator[InputFault]:
        if not _is_one_of(value, self.image_models):
            known = _is_one_of(value, KNOWN_IMAGE_MODELS)
            detail = (
                "Image model is not supported for this type" if known else "Invalid image model"
            )
            yield InputFault("/input/image_model", detail)


def upstream_input(kind: str, body_input: Mapping[str, Any]) -> dict[str, Any]:
    """`body_input` as it goes upstream: as it came, but for a `prompt_list` that is a string.

    The provider counts the characters of a bare string as lines, so it always gets an array.
    """
    sent = dict(body_input)
    if kind == "create_narrative" and isinstance(prompts := sent.get("prompt_list"), str):
        sent["prompt_list"] = _lines(prompts)
    return sent


def _lines(prompts: str) -> list[str]:
    return [line for line in _LINE_BREAK.split(prompts) if line.strip(_WHITE_SPACE)]


def _prompt_faults(prompt: Any) -> Iterator[InputFault]:
    if _is_blank(prompt):
        yield InputFault("/input/prompt", "Prompt is required")
    elif len(prompt) > PROMPT_CHARACTERS:
        yield InputFault("/input/prompt", "Prompt is too long")


def _prompt_list_faults(prompts: Any) -> Iterator[InputFault]:
    lines = _lines(prompts) if isinstance(prompts, str) else prompts
    if not isinstance(lines, list) or not lines:
        yield InputFault("/input/prompt_list", "Prompt is required")
        return
    if len(lines) > PROMPT_LINES:
        yield InputFault("/input/prompt_list", "Prompt is too long")
    # One fault for each line at most that a valid list has: an answer is no place for thousands.
    for index, line in enumerate(lines[:PROMPT_LINES]):
        if _is_blank(line):
            yield InputFault(f"/input/prompt_list/{index}", "Prompt is required")


def _video_model_faults(value: Any, allowed: frozenset[str]) -> Iterator[InputFault]:
    if not _is_one_of(value, allowed):
        known = _is_one_of(value, KNOWN_VIDEO_MODELS)
        detail = "Video model is not supported for this type" if known else "Invalid video model"
        yield InputFault("/input/video_model", detail)


def _duration_faults(duration: Any) -> Iterator[InputFault]:
    # bool is an int to Python. NaN fails any comparison; isfinite() would overflow on a huge int.
    is_number = isinstance(duration, int | float) and not isinstance(duration, bool)
    if not is_number or not 0 < duration < math.inf:
        yield InputFault("/input/duration", "Duration is invalid")
    elif duration > DURATION_SECONDS:
        yield InputFault("/input/duration", "Duration is too long")


def _text_faults(given: Mapping[str, Any], name: str, detail: str) -> Iterator[InputFault]:
    # null is "not given": that is how clients leave out an optional member.
    if not isinstance(given.get(name), str | None):
        yield InputFault(f"/input/{name}", detail)


def _is_blank(value: Any) -> bool:
    return not isinstance(value, str) or not value.strip(_WHITE_SPACE)


def _is_one_of(value: Any, keys: frozenset[str]) -> bool:
    return isinstance(value, str) and value in keys
