"""What acceptance tests have in common with those of the HTTP edge."""

from tests.http_api.conftest import provider, quiet_log, start

__all__ = ["provider", "quiet_log", "start"]
