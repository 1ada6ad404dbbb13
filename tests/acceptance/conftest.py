"""Fixtures that acceptance tests share with the tests of the HTTP API."""

from tests.http_api.conftest import provider, quiet_log, start

__all__ = ["provider", "quiet_log", "start"]
