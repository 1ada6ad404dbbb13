"""What is left out where its tools are not installed: they are extras of their own."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("playwright") else ["browser"]
