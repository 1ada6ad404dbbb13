"""Hypothesis strategies for whatever Python's JSON decoder can return, which is more than JSON
allows."""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

any_text = st.text(st.characters())
"""Including NUL and lone surrogates."""

any_scalar = st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | any_text
any_json = st.recursive(
    any_scalar,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=12,
)


def objects_with(names: Sequence[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects that often have members with the given names and any values."""
    members = any_json | st.dictionaries(st.sampled_from(names), any_json, max_size=4)
    return st.dictionaries(st.sampled_from(names) | any_text, members, max_size=8)
