"""What all tests share: which folders are left out, and how hypothesis chooses."""

from importlib.util import find_spec

from hypothesis import settings

# Extras of their own, whose tools may not be installed.
collect_ignore = [] if find_spec("playwright") else ["browser"]

# A change is judged by the same examples as the one before it. Others are looked for by
# `pytest --hypothesis-profile=default`, and what they find becomes a test of its own.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")
