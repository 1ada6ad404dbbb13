"""A Hypothesis strategy for whatever Python's JSON decoder can return, which is more than JSON
allows."""

from hypothesis import strategies as st

any_text = st.text(st.characters())
"""Including NUL and lone surrogates."""

any_scalar = st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | any_text
any_json = st.recursive(
    any_scalar,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=12,
)
