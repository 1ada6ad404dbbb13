"""The embedded provider: the whole of its HTTP API, with faults on request."""
