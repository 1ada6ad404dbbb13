"""Bodies of requests and callbacks, as types for the OpenAPI document.

Nothing is parsed through these types: `validation` checks submissions, because the messages are
the provider's own, and the handlers check the other bodies. Most limits come from the code that
checks them.
"""

from typing import Annotated, Any, Final, NotRequired

from pydantic import Field
from typing_extensions import TypeAliasType, TypedDict

from receiver.domain.documents import AN_ID, Kind, Metadata
from receiver.domain.serialization import WEBHOOK_EVENTS
from receiver.json_schema import Schema, document, enum_of, enum_schema, ref
from receiver.providers.contract import MAX_KIND
from receiver.providers.samsar import (
    DURATION_SECONDS,
    KINDS,
    NARRATIVE_VIDEO_MODELS,
    PROMPT_CHARACTERS,
    PROMPT_LINES,
    SPEECH_PROVIDERS,
)
from receiver.settings import ServeSettings
from receiver.webhooks.targets import LONGEST_URL

_MOVIE: Final = {
    "prompt": "A lighthouse at dawn",
    "image_model": "IMAGEN3",
    "video_model": "LUMA",
    "duration": 30,
    "aspect_ratio": "16:9",
}

# --- what is configured: see the end of this file -------------------------------------------------

Provider = TypeAliasType("Provider", str)
ImageModel = TypeAliasType("ImageModel", str)
VideoModel = TypeAliasType("VideoModel", str)
NarrativeVideoModel = TypeAliasType("NarrativeVideoModel", str)

# --- what submissions have in common --------------------------------------------------------------

_Text = Annotated[str, Field(pattern="\\S")]
_Url = Annotated[
    str,
    Field(max_length=LONGEST_URL, json_schema_extra={"format": "uri"}),
    Field(examples=["https://example.com/hooks/video"]),
]
WebhookEvent = TypeAliasType("WebhookEvent", Annotated[str, enum_of(WEBHOOK_EVENTS)])
_Events = Annotated[list[WebhookEvent], Field(max_length=len(WEBHOOK_EVENTS))]
SpeechProvider = TypeAliasType("SpeechProvider", Annotated[str, enum_of(sorted(SPEECH_PROVIDERS))])
PromptList = TypeAliasType(
    "PromptList",
    Annotated[
        Annotated[list[_Text], Field(min_length=1, max_length=PROMPT_LINES)] | _Text,
        Field(examples=[["A ship leaves the harbour.", "The storm comes up."]]),
    ],
)


class _Submission(TypedDict):
    webhookUrl: NotRequired[_Url | None]
    """Where webhooks are sent: https, and not a special-use address."""
    webhookEvents: NotRequired[_Events | None]
    """The events that send a webhook; an empty list means none. Default: all but `progress`."""
    metadata: NotRequired[Metadata | None]


# --- submissions ----------------------------------------------------------------------------------


@document(extra=True, example=_MOVIE)
class MovieInput(TypedDict):
    """Unknown members go upstream as they are."""

    prompt: Annotated[_Text, Field(max_length=PROMPT_CHARACTERS)]
    image_model: ImageModel
    video_model: VideoModel
    duration: Annotated[float, Field(gt=0, le=DURATION_SECONDS)]
    """Seconds."""
    aspect_ratio: NotRequired[Annotated[str, Field(examples=["16:9", "9:16"])] | None]


_GENERATIVE: Final[Schema] = {
    "if": {
        "properties": {"add_generative_video": {"const": True}},
        "required": ["add_generative_video"],
    },
    "then": {
        "properties": {"video_model": ref("NarrativeVideoModel")},
        "required": ["video_model"],
    },
}


@document(extra=True, **_GENERATIVE)
class NarrativeInput(TypedDict):
    """Unknown members go upstream as they are."""

    prompt_list: PromptList
    """The lines; a string is split into its lines."""
    image_model: ImageModel
    add_generative_video: NotRequired[bool | None]
    video_model: NotRequired[NarrativeVideoModel | None]
    speaker: NotRequired[str | None]
    provider: NotRequired[SpeechProvider | None]
    aspect_ratio: NotRequired[str | None]


@document(extra=True)
class CreateMovie(_Submission):
    """Unknown members are dropped."""

    input: MovieInput


@document(extra=True)
class CreateNarrative(_Submission):
    """Unknown members are dropped."""

    input: NarrativeInput


def _input_of(kind: str, name: str) -> Schema:
    """If the kind is this one, the input has this schema."""
    return {
        "if": {"properties": {"kind": {"const": kind}}},
        "then": {"properties": {"input": ref(name)}},
    }


JobInput = TypeAliasType("JobInput", MovieInput | NarrativeInput)


_INPUT_BY_KIND: Final[Schema] = {
    **_input_of("create_movie", "MovieInput"),
    "else": _input_of("create_narrative", "NarrativeInput"),
}


@document(
    example={"kind": "create_movie", "input": _MOVIE, "metadata": {"order": "4711"}},
    **_INPUT_BY_KIND,
)
class CreateJob(_Submission):
    """A job for any provider."""

    provider: NotRequired[Provider | None]
    kind: Kind
    input: JobInput
    """As the kind requires it."""


# --- other requests -------------------------------------------------------------------------------


@document(example={"request_id": AN_ID})
class TicketRequest(TypedDict):
    """The stream to open: one job's, or without `request_id` that of all the user's jobs."""

    request_id: NotRequired[str]


_FilterText = Annotated[str, Field(pattern="^[!-~]{1,300}$")]
RetriedState = TypeAliasType("RetriedState", Annotated[str, enum_of(["exhausted", "disabled"])])


@document(example={"state": "exhausted", "host": "hooks.example.com"})
class RetryDeliveries(TypedDict):
    """Which webhook messages to resend."""

    state: RetriedState
    host: NotRequired[_FilterText]
    """The host's name, or name:port."""
    request_id: NotRequired[_FilterText]


@document(extra=True)
class TestWebhook(TypedDict):
    """Where to send a test message."""

    url: _Url


@document(
    extra=True,
    example={
        "request_id": "67b1c0ffee",
        "status": "COMPLETED",
        "result": {"videoUrl": "https://cdn.example.com/67b1c0ffee.mp4"},
    },
)
class Callback(TypedDict):
    """As sent by the provider. All members are optional, and others are allowed."""

    request_id: NotRequired[Any]
    status: NotRequired[Any]
    progress: NotRequired[Any]
    result: NotRequired[Any]
    message: NotRequired[Any]


# --- what depends on the settings -----------------------------------------------------------------


def configured(settings: ServeSettings) -> dict[str, Schema]:
    """The schemas that depend on which providers and models are configured here."""
    models = {
        "Provider": enum_schema(settings.provider_names),
        "ImageModel": enum_schema(sorted(settings.image_models)),
        "VideoModel": enum_schema(sorted(settings.video_models)),
        "NarrativeVideoModel": enum_schema(
            sorted({*settings.video_models, *NARRATIVE_VIDEO_MODELS})
        ),
    }
    if {"samsar", "sandbox"}.issuperset(settings.provider_names):
        return models | {"Kind": enum_schema(KINDS)}
    # Other providers than Samsar define their own kinds and inputs.
    kind: Schema = {
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_KIND,
        "description": "What to run, by the provider's own name for it.",
        "examples": ["create_movie", "owner/name", "fal-ai/flux/dev"],
    }
    whatever = {
        "type": "object",
        "additionalProperties": True,
        "description": "Sent to the provider unchanged.",
    }
    return models | {"Kind": kind, "JobInput": whatever}
