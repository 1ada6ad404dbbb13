"""Simulated providers: the calls of their HTTP APIs that the service uses, with configurable
faults."""
