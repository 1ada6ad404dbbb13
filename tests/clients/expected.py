"""What each call of each client's script gets, from the sandbox and from the service."""

from typing import Any

FILE = "https://results.example.com/ID.webm"
INPUT = {"prompt": "A heron"}
RESULT = {
    "video": {"url": FILE, "content_type": "video/webm"},
    "seed": 17454220438242315174,
    "prompt": "A heron",
}
ROUNDED = RESULT | {"seed": 17454220438242314000}
"""JavaScript's numbers are not exact up there."""
FAILURE = "The video model gave up on this prompt."

FAULTS = [{"loc": ["body", "prompt"], "msg": FAILURE, "type": "value_error"}]

_OUTPUT = [f"FileOutput {FILE}"]
_FOLLOWED = ["starting", "succeeded", "succeeded", [FILE], INPUT, "owner/name"]

CALLS: dict[str, dict[str, Any]] = {
    "replicate_1.py": {
        "run": _OUTPUT,
        "run with a version": _OUTPUT,
        "run without waiting": _OUTPUT,
        "async_run": _OUTPUT,
        "create, wait, get": [*_FOLLOWED, None],
        "create for a deployment": "starting",
        "cancel": "canceled",
        "list": [None, None, INPUT, "owner/name"],
        "get what is unknown": 404,
        "webhooks.validate": [True, "Webhook signature is invalid"],
    },
    "replicate_2.py": {
        "run": _OUTPUT,
        "run with a version": _OUTPUT,
        "run without waiting": _OUTPUT,
        "run, async": [f"AsyncFileOutput {FILE}"],
        "create, wait, get": _FOLLOWED,
        "cancel": "canceled",
        "list": [INPUT, "owner/name"],
        "get what is unknown": 404,
        "webhooks.default.secret": "whsec_",
    },
    "replicate.mjs": {
        "run": _OUTPUT,
        "run with a timeout": _OUTPUT,
        "run by polling": _OUTPUT,
        "run with a version": _OUTPUT,
        "run with progress": ["starting", "succeeded"],
        "create, wait, get": _FOLLOWED,
        "cancel": "canceled",
        "an aborted run": [None, "canceled"],
        "list": [INPUT, "owner/name"],
        "get what is unknown": 404,
        "validateWebhook": [True, True, False],
    },
    "ai_sdk.mjs": {"generateImage": FILE, "experimental_generateVideo": FILE},
    "python_fal.py": {
        "submit, get": RESULT,
        "status, result": ["Completed", None, RESULT],
        "iter_events": ["Completed", []],
        "subscribe": [1, "Completed", None, RESULT],
        "cancel": ["Completed", True],
        "cancel too late": [400, "ALREADY_COMPLETED"],
        "status of what is unknown": 404,
        "submit, subscribe, async": [RESULT, RESULT],
    },
    "fal.mjs": {
        "queue.submit, status, result": ["COMPLETED", True, ROUNDED],
        "subscribe by polling": ["COMPLETED", True, ROUNDED],
        "subscribe by streaming": ["COMPLETED", True, ROUNDED],
        "result too early": ["ApiError", 400, "string"],
        "cancel": "COMPLETED",
        "cancel too late": ["ApiError", 400, "undefined"],
        "status of what is unknown": ["ApiError", 404],
    },
}

FAILURES = {
    "replicate_1.py": {"run": f"ModelError: {FAILURE}"},
    "replicate_2.py": {"run": f"ModelError: {FAILURE}"},
    "replicate.mjs": {"run": f"Error: Prediction failed: {FAILURE}"},
    "ai_sdk.mjs": {
        "generateImage": (
            f"AI_InvalidResponseDataError: Replicate image generation failed: {FAILURE}"
        ),
        "experimental_generateVideo": f"Error: Video generation failed: {FAILURE}",
    },
    "python_fal.py": {"submit, get": f"FalClientHTTPError: {FAULTS}"},
    "fal.mjs": {
        "subscribe by polling": "ValidationError: Unprocessable Entity",
        "subscribe by streaming": "ValidationError: Unprocessable Entity",
    },
}
"""What is raised if the job fails."""
