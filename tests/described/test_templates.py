"""Pointers and templates."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.providers.described.pointers import (
    Pointer,
    parse_place,
    parse_pointer,
    parse_source,
    put,
)
from receiver.providers.described.templates import (
    fill_form,
    in_path,
    in_query,
    parse_form,
    parse_template,
    read_form,
    split_template,
)

# The examples of RFC 6901, section 5.
RFC = {"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, 'k"l': 6,
       " ": 7, "m~n": 8}  # fmt: skip


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        *(("", RFC), ("/foo", ["bar", "baz"]), ("/foo/0", "bar"), ("/", 0), ("/a~1b", 1)),
        *(
            ("/c%d", 2),
            ("/e^f", 3),
            ("/g|h", 4),
            ("/i\\j", 5),
            ('/k"l', 6),
            ("/ ", 7),
            ("/m~0n", 8),
        ),
    ],
)
def test_the_examples_of_the_rfc(pointer: str, value: Any) -> None:
    assert parse_pointer(pointer).find(RFC) == value


@pytest.mark.parametrize(
    "pointer",
    ["/x", "/foo/2", "/foo/-", "/foo/00", "/foo/-1", "/foo/\u0661", "/foo/0/0", "/foo/9999999999"],
)
def test_what_is_not_there(pointer: str) -> None:
    with pytest.raises(KeyError):
        parse_pointer(pointer).find(RFC)


def text_of(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def test_the_first_of_the_right_type_counts() -> None:
    place = parse_place(["/a", "/b/c", "header:X-Id"], parse_source)
    assert place.first({"a": 1, "b": {"c": "x"}}, text_of) == "x"
    assert place.first({"a": "y", "b": {"c": "x"}}, text_of) == "y"
    assert place.first({"a": None}, text_of, {"x-id": "z"}) == "z"
    assert place.first([], text_of) is None


VALUES = st.recursive(st.none() | st.text(), lambda i: st.lists(i) | st.dictionaries(st.text(), i))


@given(VALUES)
def test_each_place_of_a_value_has_a_pointer(value: Any) -> None:  # fmt: skip
    def check(found: Any, path: str) -> None:
        assert parse_pointer(path).find(value) == found
        items = enumerate(found) if isinstance(found, list) else ()
        for name, each in found.items() if isinstance(found, dict) else items:
            check(each, f"{path}/{str(name).replace('~', '~0').replace('/', '~1')}")

    check(value, "")


@given(
    VALUES,
    st.lists(st.text() | st.integers(0, 99).map(str)).map(tuple),
    st.integers() | st.text(),
)
def test_what_is_put_is_found(document: Any, steps: tuple[str, ...], value: Any) -> None:
    assert Pointer(steps).find(put(document, steps, value)) == value


def test_templates() -> None:
    template = parse_template("/a/{kind}/b/{id}", {"kind", "id"})
    values = {"kind": "own/er x", "id": "1/2?&"}
    assert template.fill(values) == "/a/own/er x/b/1/2?&"
    assert template.fill(values, in_path) == "/a/own/er%20x/b/1%2F2%3F%26"
    assert template.fill(values, in_query) == "/a/own%2Fer%20x/b/1%2F2%3F%26"
    form = parse_form({"a": [{"b": "{id}"}, 1, None, True], "c": "{kind}!"}, {"kind", "id"})
    assert fill_form(form, {"id": "7", "kind": "k"}) == {
        "a": [{"b": "7"}, 1, None, True],
        "c": "k!",
    }


@given(
    st.text(st.characters(exclude_characters="{}")),
    st.dictionaries(st.sampled_from("abc"), st.text("xyz")),
)
def test_a_form_reads_what_it_fills(text: str, values: dict[str, str]) -> None:  # fmt: skip
    form = parse_form({name: [f"{text}{{{name}}}-{text}"] for name in values}, values)
    assert read_form(form, fill_form(form, values)) == values


@pytest.mark.parametrize("text", ["{x}", "{}", "a{kind}{url:status}", 3, None])
def test_other_placeholders_are_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"is no placeholder|a text is needed"):
        parse_template(text, {"kind"})


def test_what_a_template_does_not_give() -> None:
    template = split_template("{a}-{a}/{b}")
    assert template.read("x-x/y") == {"a": "x", "b": "y"}
    assert template.read("x-y/y") is None
    form = parse_form({"m": "p-{kind}", "n": [1]}, {"kind"})
    assert read_form(form, {"m": "p-q", "n": [1]}) == {"kind": "q"}
    others: list[Any] = [{"m": 3}, {"m": "q"}, {"m": "p-q", "n": [2]}, {"n": [1, 2]}, []]
    assert [read_form(form, other) for other in others] == [None] * 5
