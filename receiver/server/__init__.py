"""The HTTP server, built on uvicorn: listener, connections, load shedding."""
