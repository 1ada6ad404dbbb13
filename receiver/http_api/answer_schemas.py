"""What is answered and sent, as JSON Schema (2020-12), with an example each.

Words and bounds come from the code that makes these documents. What a document has, it always has:
`required` names every member that is not said to be absent at times.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from receiver.domain.announcements import MESSAGE_CHARACTERS, PROVIDER_STATUS_CHARACTERS
from receiver.http_api.submissions import KINDS
from store.records import DeliveryState, ErrorCode, Evidence, Phase, Status

Schema: TypeAlias = dict[str, Any]

JOB_ID: Final = "job_01KE4XH9T5M0R8QW2V3Y6Z7ABC"
"""The job of every example."""
_AT: Final = "2026-01-02T03:04:05.678Z"


def ref(name: str) -> Schema:
    """A reference to a named schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def nullable(schema: Schema) -> Schema:
    """The schema, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def _closed(
    members: Mapping[str, Schema], *, absent: tuple[str, ...] = (), example: Any = None
) -> Schema:
    """An object that has these members and no others, all of them but for the `absent`."""
    schema: Schema = {
        "type": "object",
        "properties": dict(members),
        "required": [name for name in members if name not in absent],
        "additionalProperties": False,
    }
    return schema if example is None else schema | {"examples": [example]}


def _page(name: str, member: str) -> Schema:
    return _closed(
        {
            name: {"type": "array", "items": ref(member)},
            "next_cursor": {
                "type": ["string", "null"],
                "description": "Give it as `cursor` for the next page; null at the last one.",
            },
        }
    )


_ID: Final[Schema] = {
    "type": "string",
    "pattern": "^job_[0-9A-HJKMNP-TV-Z]{26}$",
    "description": "Our id of the job; sortable by the time of its creation.",
}
_TIME: Final[Schema] = {"type": "string", "format": "date-time", "examples": [_AT]}
_TIME_OR_NULL: Final[Schema] = {"type": ["string", "null"], "format": "date-time"}
_PROGRESS: Final[Schema] = {"type": "number", "minimum": 0, "maximum": 100}
_STATUS_WORD: Final[Schema] = {"enum": list(Status)}
_RESULT: Final[Schema] = {
    "type": "object",
    "properties": {"videoUrl": {"type": "string"}},
    "required": ["videoUrl"],
    "description": "The link, and whatever else the provider gave.",
}

# --- errors ---------------------------------------------------------------------------------------

_PROBLEM: Final[Schema] = {
    "type": "object",
    "description": "RFC 9457. Further members belong to the one error.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
        "message": {"type": "string", "description": "The same text as `detail`."},
        "code": {
            "type": "string",
            "pattern": "^[a-z][a-z_]*$",
            "description": "Stable: this is the one to compare.",
        },
        "errors": {
            "type": "array",
            "description": "Each fault of a body, by JSON pointer.",
            "items": _closed({"pointer": {"type": "string"}, "detail": {"type": "string"}}),
        },
        "request_id": _ID,
        "job": ref("Job"),
    },
    "required": ["type", "title", "status", "detail", "message", "code"],
    "examples": [
        {
            "type": "about:blank",
            "title": "Bad Request",
            "status": 400,
            "detail": "Prompt is required",
            "message": "Prompt is required",
            "code": "invalid_request",
            "errors": [{"pointer": "/input/prompt", "detail": "Prompt is required"}],
        }
    ],
}

# --- jobs -----------------------------------------------------------------------------------------

_JOB_ERROR: Final[Schema] = _closed(
    {
        "code": {"enum": list(ErrorCode)},
        "message": {"type": "string"},
        "retryable": {
            "type": "boolean",
            "description": "A new submission could end otherwise without the risk of paying twice.",
        },
        "may_have_been_billed": {"type": "boolean"},
    }
)

_JOB: Final[Schema] = _closed(
    {
        "request_id": _ID,
        "user": {"type": "string"},
        "provider": {"type": "string"},
        "provider_request_id": {"type": ["string", "null"]},
        "kind": {"enum": list(KINDS)},
        "status": _STATUS_WORD,
        "phase": {"enum": list(Phase)},
        "done": {"type": "boolean"},
        "progress": nullable(_PROGRESS),
        "seq": {"type": "integer", "minimum": 1, "description": "The job's own count of events."},
        "result": nullable(_RESULT),
        "message": {"type": ["string", "null"], "maxLength": MESSAGE_CHARACTERS},
        "error": nullable(ref("JobError")),
        "provider_status": {"type": ["string", "null"], "maxLength": PROVIDER_STATUS_CHARACTERS},
        "evidence": {"enum": [*Evidence, None], "description": "What brought the news."},
        "metadata": ref("Metadata"),
        "created_at": _TIME,
        "updated_at": _TIME,
        "done_at": _TIME_OR_NULL,
        "links": _closed(
            {name: {"type": "string"} for name in ("self", "events", "history", "cancel")}
        ),
    },
    example={
        "request_id": JOB_ID,
        "user": "ada",
        "provider": "samsar",
        "provider_request_id": "67b1c0ffee",
        "kind": "create_movie",
        "status": "IN_PROGRESS",
        "phase": "rendering",
        "done": False,
        "progress": 45,
        "seq": 4,
        "result": None,
        "message": None,
        "error": None,
        "provider_status": "IN_PROGRESS",
        "evidence": "callback",
        "metadata": {"order": "4711"},
        "created_at": _AT,
        "updated_at": _AT,
        "done_at": None,
        "links": {
            "self": f"/v1/jobs/{JOB_ID}",
            "events": f"/v1/jobs/{JOB_ID}/events",
            "history": f"/v1/jobs/{JOB_ID}/history",
            "cancel": f"/v1/jobs/{JOB_ID}/cancel",
        },
    },
)

_STATUS: Final[Schema] = _closed(
    {
        "request_id": _ID,
        "status": _STATUS_WORD,
        "progress": _PROGRESS,
        "result": _RESULT,
        "message": {"type": "string", "maxLength": MESSAGE_CHARACTERS},
    },
    absent=("progress", "result", "message"),
    example={"request_id": JOB_ID, "status": "IN_PROGRESS", "progress": 45},
)

_HISTORY: Final[Schema] = _closed(
    {
        "history": {
            "type": "array",
            "items": {
                "type": "object",
                "description": "Further members belong to the type.",
                "properties": {"at": _TIME, "type": {"type": "string"}},
                "required": ["at", "type"],
            },
        }
    },
    example={
        "history": [
            {
                "at": _AT,
                "type": "callback",
                "verdict": "applied",
                "evidence": "callback",
                "confirmed": True,
                "bytes": 74,
            }
        ]
    },
)

# --- relays ---------------------------------------------------------------------------------------

_DELIVERY: Final[Schema] = _closed(
    {
        "id": {"type": "string", "description": "The `webhook-id` of every attempt."},
        "request_id": _ID,
        "status": _STATUS_WORD,
        "seq": {"type": "integer", "minimum": 1},
        "state": {"enum": list(DeliveryState)},
        "attempts": {
            "type": "array",
            "items": _closed(
                {
                    "at": _TIME,
                    "status_code": {"type": ["integer", "null"]},
                    "error": {"type": ["string", "null"]},
                    "duration_ms": {"type": "integer", "minimum": 0},
                }
            ),
        },
        "next_attempt_at": _TIME_OR_NULL,
        "created_at": _TIME,
        "delivered_at": _TIME_OR_NULL,
    },
    example={
        "id": "msg_01KE4XJ3A9F7N2C5D8G1H4K6MP",
        "request_id": JOB_ID,
        "status": "COMPLETED",
        "seq": 6,
        "state": "delivered",
        "attempts": [{"at": _AT, "status_code": 204, "error": None, "duration_ms": 83}],
        "next_attempt_at": None,
        "created_at": _AT,
        "delivered_at": _AT,
    },
)

_RELAY: Final[Schema] = _closed(
    {
        **_STATUS["properties"],
        "seq": {"type": "integer", "minimum": 1},
        "kind": {"enum": list(KINDS)},
        "metadata": ref("Metadata"),
        "error": nullable(ref("JobError")),
    },
    absent=("progress", "result", "message"),
    example={
        "request_id": JOB_ID,
        "status": "COMPLETED",
        "progress": 100,
        "result": {"videoUrl": "https://cdn.example.com/67b1c0ffee.mp4"},
        "seq": 6,
        "kind": "create_movie",
        "metadata": {"order": "4711"},
        "error": None,
    },
)

# --- all of them ----------------------------------------------------------------------------------

ANSWERS: Final[dict[str, Schema]] = {
    "Problem": _PROBLEM,
    "Accepted": _closed({"request_id": _ID}, example={"request_id": JOB_ID}),
    "Status": _STATUS,
    "Job": _JOB,
    "JobError": _JOB_ERROR,
    "Jobs": _page("jobs", "Job"),
    "History": _HISTORY,
    "Delivery": _DELIVERY,
    "Deliveries": _page("deliveries", "Delivery"),
    "Relay": _RELAY,
    "Ticket": _closed(
        {"ticket": {"type": "string"}, "url": {"type": "string"}, "expires_at": _TIME},
        example={
            "ticket": "eyJ1IjoxfQ.abc",
            "url": f"/v1/jobs/{JOB_ID}/events?ticket=eyJ1IjoxfQ.abc",
            "expires_at": _AT,
        },
    ),
    "CallbackReceipt": _closed(
        {"status": {"enum": ["accepted", "duplicate"]}}, example={"status": "accepted"}
    ),
    "Health": _closed({"status": {"const": "ok"}}, example={"status": "ok"}),
}
