"""What clients and the provider send, as JSON Schema (2020-12), with an example each.

Words and bounds come from the code that checks them.
"""

from typing import Any, Final

from receiver.domain.announcements import DEFAULT_WEBHOOK_EVENTS, WEBHOOK_EVENTS
from receiver.http_api.answer_schemas import JOB_ID, Schema, nullable, ref
from receiver.http_api.submissions import (
    KINDS,
    MAX_METADATA,
    MAX_METADATA_NAME,
    MAX_METADATA_VALUE,
)
from receiver.providers.samsar_input import (
    DURATION_SECONDS,
    NARRATIVE_VIDEO_MODELS,
    PROMPT_CHARACTERS,
    PROMPT_LINES,
    SPEECH_PROVIDERS,
)
from receiver.settings import ServeSettings
from receiver.webhooks.targets import LONGEST_URL


def request_schemas(settings: ServeSettings) -> dict[str, Schema]:
    """Every named schema; provider and models are those that run here."""
    return {
        "CreateMovie": _submission("MovieInput", _MOVIE),
        "CreateNarrative": _submission("NarrativeInput", _NARRATIVE),
        "CreateJob": _create_job(settings),
        "MovieInput": _movie_input(settings),
        "NarrativeInput": _narrative_input(settings),
        "Metadata": _METADATA,
        "TicketRequest": _TICKET_REQUEST,
        "Callback": _CALLBACK,
    }


_MOVIE: Final = {
    "prompt": "A lighthouse at dawn",
    "image_model": "IMAGEN3",
    "video_model": "LUMA",
    "duration": 30,
    "aspect_ratio": "16:9",
}
_NARRATIVE: Final = {
    "prompt_list": ["A ship leaves the harbour.", "The storm comes up."],
    "image_model": "FLUX1.1PRO",
    "speaker": "alloy",
    "provider": "OPENAI",
    "add_generative_video": True,
    "video_model": "RUNWAYML",
}

_METADATA: Final[Schema] = {
    "type": "object",
    "description": "Yours: shown on the job and in its webhooks, filtered by, never sent upstream.",
    "maxProperties": MAX_METADATA,
    "propertyNames": {"minLength": 1, "maxLength": MAX_METADATA_NAME, "pattern": "^[^\\u0000]*$"},
    "additionalProperties": {
        "type": "string",
        "maxLength": MAX_METADATA_VALUE,
        "pattern": "^[^\\u0000]*$",
    },
    "examples": [{"order": "4711"}],
}

_BESIDE_INPUT: Final[dict[str, Schema]] = {
    "webhookUrl": {
        "type": ["string", "null"],
        "format": "uri",
        "maxLength": LONGEST_URL,
        "description": "Where we send webhooks: https, and no address of special use.",
        "examples": ["https://example.com/hooks/video"],
    },
    "webhookEvents": {
        "type": ["array", "null"],
        "items": {"enum": list(WEBHOOK_EVENTS)},
        "default": list(DEFAULT_WEBHOOK_EVENTS),
        "description": "What webhooks are sent for; an empty list asks for none.",
    },
    "metadata": nullable(ref("Metadata")),
}


def _submission(input_name: str, example: Any) -> Schema:
    return {
        "type": "object",
        "properties": {"input": ref(input_name), **_BESIDE_INPUT},
        "required": ["input"],
        "examples": [{"input": example, "webhookUrl": "https://example.com/hooks/video"}],
    }


def _create_job(settings: ServeSettings) -> Schema:
    return {
        "type": "object",
        "properties": {
            "provider": {"enum": [settings.provider, None], "default": settings.provider},
            "kind": {"enum": list(KINDS)},
            "input": {"type": "object"},
            **_BESIDE_INPUT,
        },
        "required": ["kind", "input"],
        "oneOf": [
            {"properties": {"kind": {"const": "create_movie"}, "input": ref("MovieInput")}},
            {"properties": {"kind": {"const": "create_narrative"}, "input": ref("NarrativeInput")}},
        ],
        "examples": [{"kind": "create_movie", "input": _MOVIE, "metadata": {"order": "4711"}}],
    }


def _movie_input(settings: ServeSettings) -> Schema:
    return {
        "type": "object",
        "description": "Unknown members go upstream as they are.",
        "properties": {
            "prompt": {"type": "string", "pattern": "\\S", "maxLength": PROMPT_CHARACTERS},
            "image_model": {"enum": sorted(settings.image_models)},
            "video_model": {"enum": sorted(settings.video_models)},
            "duration": {
                "type": "number",
                "exclusiveMinimum": 0,
                "maximum": DURATION_SECONDS,
                "description": "Seconds.",
            },
            "aspect_ratio": {"type": ["string", "null"], "examples": ["16:9", "9:16"]},
        },
        "required": ["prompt", "image_model", "video_model", "duration"],
        "examples": [_MOVIE],
    }


def _narrative_input(settings: ServeSettings) -> Schema:
    models = sorted({*settings.video_models, *NARRATIVE_VIDEO_MODELS})
    line = {"type": "string", "pattern": "\\S"}
    return {
        "type": "object",
        "description": "Unknown members go upstream as they are.",
        "properties": {
            "prompt_list": {
                "description": f"At most {PROMPT_LINES} lines; a string is split into its lines.",
                "anyOf": [
                    {"type": "array", "items": line, "minItems": 1, "maxItems": PROMPT_LINES},
                    line,
                ],
            },
            "image_model": {"enum": sorted(settings.image_models)},
            "add_generative_video": {"type": ["boolean", "null"]},
            "video_model": {"enum": [*models, None]},
            "speaker": {"type": ["string", "null"]},
            "provider": {"enum": [*sorted(SPEECH_PROVIDERS), None]},
            "aspect_ratio": {"type": ["string", "null"]},
        },
        "required": ["prompt_list", "image_model"],
        "if": {
            "properties": {"add_generative_video": {"const": True}},
            "required": ["add_generative_video"],
        },
        "then": {"properties": {"video_model": {"enum": models}}, "required": ["video_model"]},
        "examples": [_NARRATIVE],
    }


_TICKET_REQUEST: Final[Schema] = {
    "type": "object",
    "properties": {"request_id": {"type": ["string", "null"]}},
    "examples": [{"request_id": JOB_ID}, {}],
}

_CALLBACK: Final[Schema] = {
    "type": "object",
    "description": "As the provider sends it; every member is optional, and others are kept.",
    "properties": {"request_id": {}, "status": {}, "progress": {}, "result": {}, "message": {}},
    "examples": [
        {
            "request_id": "67b1c0ffee",
            "status": "COMPLETED",
            "result": {"videoUrl": "https://cdn.example.com/67b1c0ffee.mp4"},
        }
    ],
}
