"""The bodies of submissions, as text: the input is passed on as it is."""

import json
from email.parser import BytesParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.providers.described.bodies import input_faults, multipart, with_input

INPUT = '{"seed": 1.10, "a": {"b": 1}}'


@pytest.mark.parametrize(
    ("steps", "beside", "body"),
    [
        ((), {}, INPUT),
        ((), {"m": "x"}, '{"seed": 1.10, "a": {"b": 1},"m": "x"}'),
        (("input",), {"m": "x"}, f'{{"input": {INPUT}, "m": "x"}}'),
        (("input",), {}, f'{{"input": {INPUT}}}'),
        (("a", "b"), {"a": {"c": 1}}, f'{{"a": {{"b": {INPUT}, "c": 1}}}}'),
        (("in", "0"), {"m": 1}, f'{{"in": [{INPUT}], "m": 1}}'),
        (("input",), {"input": {"m": 1}}, '{"input": {"seed": 1.10, "a": {"b": 1},"m": 1}}'),
        ((), {"a": {"c": 2}}, '{"seed": 1.1, "a": {"b": 1, "c": 2}}'),
    ],
)
def test_where_the_input_goes(steps: tuple[str, ...], beside: Any, body: str) -> None:
    assert with_input(steps, INPUT, beside) == body


OBJECTS = st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.text()))


@given(OBJECTS, OBJECTS)
def test_the_body_is_merged_over_the_input(given_input: Any, over: Any) -> None:
    text = json.dumps(given_input)
    assert json.loads(with_input((), text, over)) == {**given_input, **over}
    assert json.loads(with_input(("\u00e4",), text, {"a": over})) == {
        "\u00e4": given_input,
        "a": over,
    }


@pytest.mark.parametrize(
    ("given_input", "pointers"),
    [
        ({"a": 1}, []),
        ({"hook": None}, ["/input/hook"]),
        ({"x/~y": 1}, ["/input/x~1~0y"]),
        ({"config": {"size": 1}}, []),
        ({"config": {"size": 1, "hook": 1}}, ["/input/config/hook"]),
        ({"config": 3, "hook": 1}, ["/input/config", "/input/hook"]),
    ],
)
def test_an_input_cannot_set_what_the_description_sets(given_input: Any, pointers: Any) -> None:
    body = {"config": {"hook": "h"}, "hook": "h", "x/~y": 1}
    faults = input_faults((), given_input, body, only_scalars=False)
    assert [fault.pointer for fault in faults] == pointers
    inside = input_faults(("input",), given_input, {"input": body}, only_scalars=False)
    assert inside == faults
    assert input_faults(("input",), given_input, body, only_scalars=False) == []


def test_a_form_has_no_tables() -> None:
    faults = input_faults((), {"a": 1, "b": [], "c": {}}, {}, only_scalars=True)
    assert [fault.pointer for fault in faults] == ["/input/b", "/input/c"]


@given(st.dictionaries(st.text(min_size=1), st.text() | st.integers() | st.booleans() | st.none()))
def test_forms(fields: dict[str, Any]) -> None:
    content, content_type = multipart(json.dumps(fields))
    assert multipart(json.dumps(fields)) == (content, content_type), "always the same bytes"
    parts = content.split(content_type.partition("boundary=")[2].encode())
    expected = {name: value for name, value in fields.items() if value is not None}
    assert len(parts) == len(expected) + 2 if expected else len(parts) == 2
    for part, value in zip(parts[1:], expected.values(), strict=False):
        text = value if isinstance(value, str) else json.dumps(value)
        assert part.partition(b"\r\n\r\n")[2] == f"{text}\r\n--".encode()


def test_a_form_is_read_as_it_was_meant() -> None:
    content, content_type = multipart('{"prompt": "A \\u00e4\\r\\n--x", "n": 5, "x\\"y": true}')
    form = BytesParser().parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + content)
    parts = form.get_payload()
    assert isinstance(parts, list)
    names = [part.get_param("name", header="content-disposition") for part in parts]  # type: ignore[union-attr]
    assert names == ["prompt", "n", "x%22y"]
