"""Patterns of kinds: what they match, and that none of them takes long."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.providers.described.patterns import parse_pattern


@pytest.mark.parametrize(
    ("pattern", "kind", "groups"),
    [
        ("[a-z]+", "abc", {}),
        ("[a-z]+", "abC", None),
        ("[a-z]+", "abc\n", None),
        ("a|bc", "a", {}),
        ("a|bc", "abc", None),
        ("", "", {}),
        (".*", "x" * 200, {}),
        (".*", "x" * 201, None),
        (".*", "a/../b", None),
        (".*", "..", None),
        (".*", "a/..b", {}),
        ("(?P<path>[a-z_0-9]+)/(?P<m>.+)", "text/gen/4", {"path": "text", "m": "gen/4"}),
        ("(?P<a>x|y)(?:-(?P<b>z)|)", "x", {"a": "x", "b": ""}),
        ("a(?P<b>..)c", "a..c", None),
        (r"(?P<a>[\]{}*+|(]{2})\{", "*|{", {"a": "*|"}),
    ],
)
def test_what_matches(pattern: str, kind: str, groups: Mapping[str, str] | None) -> None:
    assert parse_pattern(pattern).match(kind) == groups


@pytest.mark.parametrize(
    "pattern",
    [
        *("(", "[", "*", "a{99999999999}", "a{900}{900}{900}"),
        *(r"(a)\1", "(?=a)", "(?<!a)b", "(?P<a>x)(?P=a)", "(?(1)a|b)"),
        *("(?P<a>(a*)*)", "(?P<a>a+)+", "(?P<a>a){3}", "(?P<a>a)?"),
        *("(?P<a>a*)a*a*b", "(?P<a>a*a*)a{1,99}", "(?P<a>" + "(?:aa|a.)" * 30 + ")"),
        *("(?P<a>" + "a?" * 40 + ")" + "a" * 40, "(?i:(?P<a>x))"),
    ],
)
def test_what_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"it is no regular|cannot be used|named groups"):
        parse_pattern(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        *("(a*)*b", "(a|aa)+b", "(a|a)*b", "(.*)*(.*)*(.*)*b", "(?:a?){200}a{200}b"),
        *(".*" * 60 + "b", "(?P<a>a*)a*(?:aa|a.)(?:aa|a.)b", "(?P<a>" + "a?" * 19 + ")b"),
    ],
)
def test_what_would_go_back_for_ever_ends(pattern: str) -> None:
    """Any of these took Python's own engine minutes, or much longer."""
    assert parse_pattern(pattern).match("a" * 199 + "!") is None
    assert parse_pattern(pattern).match("a" * 200) is None


@given(st.text(alphabet="ab(|)*+?[]{}1,.^$\\P<>:=", max_size=12), st.text("ab.", max_size=8))
def test_any_pattern_is_refused_or_decides(pattern: str, kind: str) -> None:
    try:
        parsed = parse_pattern(pattern)
    except ValueError:
        return
    found = parsed.match(kind)
    assert found is None or found.keys() == parsed.names
