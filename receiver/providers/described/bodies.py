"""The bodies of submissions: the input, and what a description merges over it. Pure."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from receiver.json_text import parse
from receiver.upstream.contract import InputFault

_ESCAPES: Final = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})
"""In the name of a multipart field, as browsers do."""


def with_input(steps: Sequence[str], input_json: str, beside: Any) -> str:
    """`beside` as JSON, with the input at the place to which these steps lead; what it has there
    is merged over the input. `input_json` is an object, and is passed on as it is."""
    if not steps:
        return _merged(input_json, beside if isinstance(beside, dict) else {})
    name, *rest = steps
    if name == "0" and not isinstance(beside, dict):
        return f"[{with_input(rest, input_json, beside[0] if beside else {})}]"
    members = beside if isinstance(beside, dict) else {}
    others = json.dumps({each: value for each, value in members.items() if each != name})[1:]
    inner = with_input(rest, input_json, members.get(name))
    return f"{{{json.dumps(name)}: {inner}{'' if others == '}' else ', '}{others}"


def _merged(input_json: str, over: Mapping[str, Any]) -> str:
    if any(isinstance(value, dict) for value in over.values()):
        return json.dumps(_merge(parse(input_json), over))
    if not over:
        return input_json
    return f"{input_json.rstrip()[:-1]}{'' if _is_empty(input_json) else ','}{json.dumps(over)[1:]}"


def _is_empty(input_json: str) -> bool:
    return input_json.strip()[1:-1].strip() == ""


def _merge(value: Any, over: Any) -> Any:
    if not isinstance(value, dict) or not isinstance(over, dict):
        return over
    return {**value, **{name: _merge(value.get(name), each) for name, each in over.items()}}


def input_faults(
    steps: Sequence[str], job_input: Mapping[str, Any], body: Any, *, only_scalars: bool
) -> list[InputFault]:
    """What in an input may not be there: members that the description sets, and with
    `only_scalars` tables and arrays."""
    for step in steps:
        body = body.get(step) if isinstance(body, dict) else None
    faults = list(_overridden(job_input, body, "/input"))
    if only_scalars:
        detail = "must be a text, a number, true, false or null"
        faults += [
            InputFault(_below("/input", name), f"{name} {detail}")
            for name, value in job_input.items()
            if isinstance(value, dict | list)
        ]
    return faults


def _overridden(given: Mapping[str, Any], body: Any, at: str) -> Iterator[InputFault]:
    for name, value in body.items() if isinstance(body, dict) else ():
        if name not in given:
            continue
        if isinstance(value, dict) and isinstance(given[name], dict):
            yield from _overridden(given[name], value, _below(at, name))
        else:
            yield InputFault(_below(at, name), f"{name} is set by this service")


def _below(pointer: str, name: str) -> str:
    return f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"


def multipart(body_json: str) -> tuple[bytes, str]:
    """The members of an object as the fields of a form, and its content type. Null is left out.
    The same object always gives the same bytes."""
    boundary = hashlib.sha256(body_json.encode()).hexdigest()
    parts = []
    for name, value in parse(body_json).items():
        if value is not None:
            text = value if isinstance(value, str) else json.dumps(value)
            head = f'Content-Disposition: form-data; name="{name.translate(_ESCAPES)}"'
            parts.append(f"--{boundary}\r\n{head}\r\n\r\n{text}\r\n")
    content = "".join([*parts, f"--{boundary}--\r\n"])
    return content.encode(errors="replace"), f"multipart/form-data; boundary={boundary}"
