"""What Samsar accepts as `input`, by its rules of February 2025.

Errors have its own words where it has any, because clients written for it may compare them. Unknown
members are not errors: they go upstream unchanged.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from typing import Any, Final

from receiver.upstream.contract import InputFault

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
