"""As over HTTP, everywhere else."""

from tests.http_api.conftest import quiet_log

__all__ = ["quiet_log"]
