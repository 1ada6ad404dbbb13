"""Descriptions: what is refused and on which line, and the schema that is published."""

import copy
import json
import re
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.config.toml_lines import parse_toml
from receiver.providers.described.description import (
    Description,
    description_schema,
    read_description,
)
from tests.described.files import HEAD, KIND, READ, STATUS, SUBMIT, described, text
from tests.described.shapes import TEXTS

CALLS = SUBMIT + 'body = { hook = "{callback_url}" }\n'


def faults_of(file: str, name: str = "one") -> list[str]:
    with pytest.raises(ValueError, match=r".") as refused:
        read_description(file, name)
    return str(refused.value).split("\n")


@pytest.mark.parametrize(
    ("file", "faults"),
    [
        ("", ["line 1: kind: this member", "line 1: name", "line 1: read: word", "line 1: status"]),
        ("=", ["it is not TOML"]),
        (text(head=HEAD.replace("one", "two", 1)), ["line 1: name: the file is called one.toml"]),
        (text(head=HEAD.replace('"one"', '"fal"')), ["line 1: name: fal is the name of a built"]),
        (text(head=HEAD.replace('"one"', '"sandbox-x"')), ["line 1: name: sandbox-x is the name"]),
        (text(head=HEAD.replace('"one"', '"One"')), ["line 1: name: small letters"]),
        (text(head=HEAD + 'hosts = ["x.example"]\n'), ["line 4: hosts: an origin is needed"]),
        (text(submit=SUBMIT.replace("path", "pth")), [
            "line 7: submit.path: this member is needed",
            "line 8: submit.pth: there is no such member; did you mean path?",
        ]),
        (text(submit=SUBMIT + "url.statu = '/x'\n"), ["line 10: submit.url: there is no such"]),
        (text(submit=SUBMIT + "urls.statu = '/x'\n"), ["line 10: submit.urls.statu: there is"]),
        (text(submit=SUBMIT.replace('"/id"', '"id"')), ["line 9: submit.id: a JSON Pointer"]),
        (text(submit=SUBMIT.replace('"/id"', '"/a~2"')), ["line 9: submit.id: in a JSON Pointer"]),
        (text(submit=SUBMIT.replace('"/id"', "[]")), ["line 9: submit.id: a JSON Pointer"]),
        (text(submit=SUBMIT.replace('"/id"', '"header:x"')), ["line 9: submit.id: a JSON Pointer"]),
        (text(submit=SUBMIT.replace("{kind}", "{model}")), ["line 8: submit.path: {model} is no"]),
        (text(submit=SUBMIT.replace("/jobs/", "jobs/")), ["line 8: submit.path: a path is needed"]),
        (text(submit=SUBMIT + "body = { a = ['{id}'] }\n"), ["line 10: submit.body: {id} is no"]),
        (text(submit=SUBMIT + "body = { a = 1979-05-27 }\n"), ["line 10: submit.body: 1979-05-27"]),
        (text(submit=SUBMIT + "body = { a = inf }\n"), ["line 10: submit.body: inf is no JSON"]),
        (text(submit=SUBMIT + 'headers = { x = "\u00e4" }\n'), ["line 10: submit.headers.x: "]),
        (text(submit=SUBMIT + 'headers = { "x y" = "" }\n'), ["line 10: submit.headers.x y.[key]"]),
        (text(status=STATUS.replace("/{id}", "/x?id={id}")), ["line 11: status.path: a path is"]),
        (text(status=STATUS.replace("/jobs", "{url:status}/jobs")), ["line 11: status.path: {"]),
        (text(status=STATUS + 'query = { at = "{value}" }\n'), ["line 12: status.query.at: {v"]),
        (text(status=""), ["line 1: status: this table is needed, unless callback.only = true"]),
        (text(read=READ + "progress_scale = 3\n"), ["line 15: read.progress_scale: this n"]),
        (text(read=READ.replace("word =", "error =")), ["line 12: read: word or absent is needed"]),
        (text(words='[read.words]\nfailed = ["x"]\n'), ["line 15: read.words: no word is given"]),
        (text(words='[read.words]\ncompleted = ["A", {}]\n'), ["line 16: read.words.completed: a"]),
        (
            text(words='[read.words]\nqueued = []\ncompleted = ["x", true]\nfailed = ["TRUE"]\n'),
            ["line 18: read.words.failed: 'TRUE' is in completed too"],
        ),
        (text("[result]", 'value = "/x"'), ["line 20: result.value: this needs the member path"]),
        (text("[result]", 'path = "/x"', 'file = "/y"'), ["line 21: result.file: either this or"]),
        (text("[errors]", "ok = [0]"), ["line 20: errors.ok: this needs the member code too"]),
        (text("[probe]", 'kind = "x"'), ["line 20: probe.kind: this needs the member id too"]),
        (text("[callback]"), ["line 19: callback: this needs {callback_url} in submit.body"]),
        (
            text("[callback]", "thin = true", "only = true", submit=CALLS),
            ["line 22: callback.only: either this or thin can be given"],
        ),
        (
            text("[signature]", 'scheme = "timestamped"', 'signed = "{id}{when}"', submit=CALLS),
            ["line 20: signature.header: this member is needed", "line 22: signature.signed: {id}"],
        ),
        (
            text("[signature]", 'scheme = "sha"', 'header = "x"', 'timestamp = "t"', submit=CALLS),
            ["line 21: signature.scheme", "line 23: signature.timestamp: a JSON Pointer"],
        ),
        (
            text(kind=KIND.replace("[a-z0-9/-]+", "(?P<id>.+)")),
            ["line 5: kind.pattern: {id} is a placeholder already"],
        ),
        (text(kind=KIND.replace("draw", "Draw")), ["line 6: kind.example: it does not match"]),
        (
            text("[signature]", 'scheme = "hmac"', 'header = "x"', "keys = {}", submit=CALLS),
            ["line 23: signature.keys: jwks is needed, or path and at"],
        ),
        (
            text(
                *("[signature]", 'scheme = "hmac"', 'header = "x"'),
                'keys = { jwks = "https://x.example/keys" }',
                submit=CALLS,
            ),
            ["line 23: signature.keys: jwks has keys for the scheme ed25519 alone"],
        ),
        (text(head="nam = 1\n" + HEAD, submit=SUBMIT.replace('"/id"', '"id"')), [
            "line 1: nam: there is no such member; did you mean name?",
            "line 10: submit.id: a JSON Pointer",
        ]),
    ],
)  # fmt: skip
def test_faults_are_told_with_their_lines_all_at_once(file: str, faults: list[str]) -> None:
    found = faults_of(file)
    if file:
        assert len(found) == len(faults), found
    for fault in faults:
        assert any(line.startswith(fault) for line in found), (fault, found)


def test_a_description() -> None:
    one = described(
        "[signature]",
        'scheme = "standard-webhooks"',
        submit=SUBMIT
        + 'deduplicates = { header = "Key", for = 60 }\nbody = {u="{callback_url}"}\n',
    )
    assert (one.needs_key, one.calls_back) == (True, True)
    assert one.submit.deduplicates is not None
    assert one.submit.deduplicates.seconds == 60
    assert one.signature is not None
    assert (one.signature.scheme, one.signature.covers_body) == ("hmac", True)


def test_a_server_of_ones_own_may_do_without_a_key() -> None:
    assert not described(head=HEAD.replace('base_url = "https://one.example"', "")).needs_key


def test_jobs_that_only_a_callback_ends_need_no_status() -> None:
    assert described(
        '[callback]\nonly = true\nabsent = "completed"',
        submit=CALLS,
        status="",
        read="",
        words="",
    ).status is None  # fmt: skip


@pytest.mark.parametrize(
    ("change", "fits"),
    [
        ({}, True),
        ({"submit": {"path": "/x"}}, False),
        ({"submit": {"path": "/x", "id": ["/a", "/b"]}}, True),
        ({"submit": {"path": "/x", "id": 3}}, False),
        ({"sumbit": {}}, False),
    ],
)
def test_the_schema_is_that_of_the_files(change: dict[str, Any], fits: bool) -> None:
    schema = description_schema()
    assert schema["properties"]["hosts"]["description"].startswith("Other origins")
    assert json.loads(json.dumps(schema)) == schema
    assert jsonschema_rs.is_valid(schema, parse_toml(text()) | change) is fits


def test_each_member_is_documented() -> None:
    schema = description_schema()
    for name in Description.model_fields:
        assert name in schema["properties"]


SCALARS = (
    st.booleans() | st.integers(-9, 9) | st.floats() | st.sampled_from(["", "/a", "{id}", "("])
)
LISTS = st.lists(SCALARS, max_size=2)
VALUES = SCALARS | LISTS | st.dictionaries(st.sampled_from("ab"), SCALARS | LISTS)
FULL = parse_toml(TEXTS["nested"]) | parse_toml(TEXTS["second"])


def as_toml(value: Any) -> str:
    match value:
        case dict():
            return (
                "{"
                + ",".join(f"{json.dumps(k)}={as_toml(each)}" for k, each in value.items())
                + "}"
            )
        case list():
            return "[" + ",".join(map(as_toml, value)) + "]"
        case float():
            return repr(value)
        case _:
            return json.dumps(value)


@given(st.data())
def test_any_value_anywhere_is_read_or_refused_in_words(data: st.DataObject) -> None:
    document = copy.deepcopy(FULL)
    table = document
    name = data.draw(st.sampled_from(sorted(table)))
    while isinstance(table[name], dict) and table[name] and data.draw(st.booleans()):
        table = table[name]
        name = data.draw(st.sampled_from(sorted(table)))
    table[name] = data.draw(VALUES)
    lines = "\n".join(f"{member} = {as_toml(value)}" for member, value in document.items())
    said = "line 1: nothing"
    try:
        read_description(lines, "second")
    except ValueError as refused:
        said = str(refused)
    assert all(re.match(r"line \d+: [a-z_]+", line) for line in said.split("\n"))
