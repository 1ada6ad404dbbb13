"""Fixtures from the workers' tests."""

from tests.workers.conftest import harness

__all__ = ["harness"]
