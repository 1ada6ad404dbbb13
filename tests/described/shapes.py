"""Invented providers, each with another shape, and examples of what they answer."""

import hashlib
import hmac

from receiver.providers.described.description import read_description
from receiver.providers.described.upstream import Access, Described
from receiver.upstream.api import Account
from store.records.jobs import Status
from tests.providers.conformance.subjects import (
    PRIVATE_KEY,
    WHSEC,
    Subject,
    jwks,
    sign_replicate,
)

WORDS = """
[read.words]
queued = ["waiting"]
processing = ["running"]
completed = ["done"]
failed = ["broken"]
cancelled = ["stopped"]
"""
HEAD = """
base_url = "https://one.example/api"
headers = { Authorization = "Bearer {key}" }

[kind]
pattern = "[a-z0-9-]+(/[a-z0-9.-]+)*"
example = "draw/heron"
"""

PLAIN = f"""
name = "plain"
{HEAD}
[submit]
path = "/jobs"
body = {{ model = "{{kind}}", hook = "{{callback_url}}" }}
id = "/id"

[status]
path = "/jobs/{{id}}"

[read]
word = "/state"
result = "/result"
error = "/error"
progress = "/progress"
{WORDS}
[cancel]
path = "/jobs/{{id}}"
method = "DELETE"
"""

NUMBERS = """
name = "numbers"
base_url = "https://one.example"
headers = { API-KEY = "{key}", Trace-Id = "{uuid}" }

[kind]
pattern = "(?P<endpoint>text|image)/(?P<model>[a-z0-9]+)"
example = "text/v5"

[submit]
path = "/{endpoint}/generate"
query = { hook = "{callback_url}" }
body = { model = "{model}" }
id = "/Resp/video_id"

[status]
path = "/result/{id}"

[read]
word = "/Resp/status"
result = "/Resp/url"
error = "/ErrMsg"

[read.words]
processing = [5]
completed = [1]
failed = [7, 8]

[callback]
root = "/Event"
id = "/video_id"
word = "/status"
result = "/url"
error = "/why"

[signature]
scheme = "timestamped"
header = "X-Signature"

[errors]
message = "/ErrMsg"
code = "/ErrCode"
ok = [0]
busy = [500044]
denied = [10005]
"""

NESTED = f"""
name = "nested"
{HEAD}
[submit]
path = "/v2/{{kind}}/run"
input = "/input"
body = {{ options = {{ webhook = "{{callback_url}}" }} }}
id = "/data/task_id"
urls = {{ status = "/data/status_url", cancel = "/data/cancel_url" }}

[status]
path = "{{url:status}}/v2/{{kind}}/status/{{id}}"
method = "POST"
body = {{ task = "{{id}}" }}

[read]
word = "/data/state"
result = "/data/out"
error = ["/data/error/message", "/data/error"]
measured = {{ ms = "/data/took" }}
{WORDS}
[cancel]
path = "{{url:cancel}}/v2/{{kind}}/cancel/{{id}}"
only_queued = true

[signature]
scheme = "standard-webhooks"
keys = {{ path = "/webhooks/secret", at = "/key" }}
"""

DONE = """
name = "done"
base_url = "https://one.example"
headers = { x-key = "{key}" }

[kind]
pattern = "[a-z0-9-]+"
example = "veo-3"

[submit]
path = "/models/{kind}:run"
body = { config = { hook = "{callback_url}" } }
id = "/name"

[status]
path = "/operations"
query = { name = "{id}" }

[read]
word = "/done"
failed_if = "/error"
result = "/response"
error = "/error/message"

[read.words]
processing = [false]
completed = [true]

[signature]
scheme = "ed25519"
header = "X-Signature"
timestamp = "header:X-Timestamp"
signed = "{header:x-id}\\n{timestamp}\\n{body_sha256}"
keys = { jwks = "https://one.example/keys.json" }
"""

SECOND = f"""
name = "second"
{HEAD}
[submit]
path = "/make"
query = {{ model = "{{kind}}" }}
headers = {{ X-Hook = "{{callback_url}}" }}
id = "/task"

[status]
path = "/query"
query = {{ task = "{{id}}" }}

[read]
word = "/state"
error = "/why"
{WORDS}
[result]
value = "/file_id"
path = "/files/{{value}}"
at = "/file"

[callback]
thin = true
challenge = "/challenge"
words = {{ processing = ["run"], completed = ["ok"], failed = ["no"] }}

[signature]
scheme = "token"
header = "X-Token"
"""

FILE = f"""
name = "file"
{HEAD}
[submit]
path = "/v1/videos"
encoding = "multipart"
body = {{ model = "{{kind}}", hook = "{{callback_url}}" }}
id = "/id"

[status]
path = "/v1/videos/{{id}}"

[read]
word = "/state"
result = ""
error = "/error/message"
{WORDS}
[result]
file = "/v1/videos/{{id}}/content"
"""

ONLY = """
name = "only"
base_url = "https://one.example"
headers = { x-key = "{key}" }

[kind]
pattern = "[a-z]+"
example = "listen"

[submit]
path = "/{kind}"
body = { hook = "{callback_url}", ref = "{reference}" }
id = "/request_id"

[callback]
only = true
id = "header:x-task-id"
word = "header:x-task-status"
words = { completed = ["DONE"], failed = ["ERROR"] }
result = "/data"
error = "/errors"

[signature]
scheme = "hmac"
header = "X-Task-Signature"
timestamp = "header:X-Task-Timestamp"
signed = "{body_base64}:{timestamp}"
"""

BARE = """
name = "bare"
base_url = "https://one.example"
headers = { Api-Key = "{key}" }

[kind]
pattern = "[a-z0-9-]+"
example = "ideo-4"

[submit]
path = "/v1/{kind}/async"
query = { webhook_url = "{callback_url}" }
input = "/instances/0"
body = { parameters = { count = 1, wide = true, none = [] } }
id = ["/generation_id", "/id"]

[status]
path = "/v1/generations/{id}"

[read]
word = "/status"
absent = "processing"
result = "/data"
failed_if = "/errors"
error = "/errors"
progress = "/progress"
progress_scale = 1

[read.words]
completed = ["complete"]

[result]
needs_key = true

[callback]
absent = "completed"
reply = "ok"

[signature]
scheme = "body-hex"
header = "X-Signature"
prefix = "sha256="
require = { "header:X-User" = "{key}" }
"""

TEXTS = {
    "plain": PLAIN,
    "numbers": NUMBERS,
    "nested": NESTED,
    "done": DONE,
    "second": SECOND,
    "file": FILE,
    "only": ONLY,
    "bare": BARE,
}
SHAPES = {name: read_description(text, name) for name, text in TEXTS.items()}


def at(name: str, account: Account, *secrets: str) -> Described:
    """The provider of this shape. Its keys, if it has a set of them, are at the account's URL."""
    return Described(SHAPES[name], account, Access(secrets, f"{account.base_url}jwks.json"))


# --- for the conformance suite --------------------------------------------------------------------


def sign_timestamped(body: bytes, at: int) -> dict[str, str]:
    digest = hmac.digest(b"secret", b"%d." % at + body, hashlib.sha256).hex()
    return {"x-signature": f"t={at},v1={digest}"}


def sign_done(body: bytes, at: int) -> dict[str, str]:
    message = f"up-1\n{at}\n{hashlib.sha256(body).hexdigest()}"
    signature = PRIVATE_KEY.sign(message.encode()).hex()
    return {"x-id": "up-1", "x-timestamp": str(at), "x-signature": signature}


LINK = "https://a.example/1"
STATES = {
    Status.PENDING: "waiting",
    Status.IN_PROGRESS: "Running",
    Status.COMPLETED: "DONE",
    Status.FAILED: "broken",
    Status.CANCELLED: "stopped",
}

SUBJECTS = (
    Subject(
        name="plain",
        make=lambda account: at("plain", account),
        good_kinds=("draw", "draw/heron-2.1", "a/b/c"),
        bad_kinds=("", "Draw", "draw/", "/draw", "draw/..", "draw\n"),
        good_input={"prompt": "A heron", "seed": 17454220438242315174},
        accepted={"id": "up-1"},
        callbacks={
            status: {"id": "up-1", "state": word, "result": {"url": LINK}, "error": "It broke."}
            for status, word in STATES.items()
        },
        refusal=lambda text: {"error": text},
        cancels=True,
    ),
    Subject(
        name="numbers",
        make=lambda account: at("numbers", account, "secret"),
        good_kinds=("text/v5", "image/v4"),
        bad_kinds=("", "text", "video/v5", "text/v5/x"),
        good_input={"prompt": "A heron"},
        accepted={"ErrCode": 0, "Resp": {"video_id": "up-1"}},
        callbacks={
            Status.IN_PROGRESS: {"Event": {"video_id": "up-1", "status": 5}},
            Status.COMPLETED: {"Event": {"video_id": "up-1", "status": 1, "url": LINK}},
            Status.FAILED: {"Event": {"video_id": "up-1", "status": 8, "why": "It broke."}},
        },
        refusal=lambda text: {"ErrCode": 9, "ErrMsg": text},
        sign=sign_timestamped,
    ),
    Subject(
        name="nested",
        make=lambda account: at("nested", account),
        good_kinds=("draw/heron",),
        bad_kinds=("", "draw//heron"),
        good_input={"prompt": "A heron"},
        accepted={"data": {"task_id": "up-1"}},
        callbacks={
            status: {
                "data": {
                    "task_id": "up-1",
                    "state": word,
                    "out": [LINK],
                    "error": {"message": "It broke."},
                    "took": 1.5,
                }
            }
            for status, word in STATES.items()
        },
        refusal=lambda text: {"error": {"message": text}},
        cancels=True,
        sign=sign_replicate,
        keys={"key": WHSEC},
    ),
    Subject(
        name="done",
        make=lambda account: at("done", account),
        good_kinds=("veo-3",),
        bad_kinds=("", "veo/3"),
        good_input={"prompt": "A heron"},
        accepted={"name": "up-1"},
        callbacks={
            Status.IN_PROGRESS: {"name": "up-1", "done": False},
            Status.COMPLETED: {"name": "up-1", "done": True, "response": {"uri": LINK}},
            Status.FAILED: {"name": "up-1", "done": True, "error": {"message": "It broke."}},
        },
        refusal=lambda text: {"error": {"message": text}},
        sign=sign_done,
        keys=jwks(PRIVATE_KEY),
    ),
)
