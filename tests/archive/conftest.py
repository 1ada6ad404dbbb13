"""The fixtures of `tests/http_api` that hold here too."""

from tests.http_api.conftest import quiet_log
from tests.workers.conftest import harness

__all__ = ["harness", "quiet_log"]
