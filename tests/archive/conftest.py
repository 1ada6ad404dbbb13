"""The fixtures of `tests/http_api` that hold here too."""

from tests.http_api.conftest import quiet_log

__all__ = ["quiet_log"]
