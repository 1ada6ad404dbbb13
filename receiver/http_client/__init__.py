"""A small HTTP/1.1 client on asyncio and httptools. The caller opens the connections.

Why not httpx or httpcore: with them, the two or three calls of a job took a third of its time in
the event loop. And after a failed submission we must know whether any byte may have been sent,
which is clear if connecting and sending are separate calls.

It has no pool, redirects or proxies, and only `connect` has a timeout: use `asyncio.timeout`. The
methods HEAD and CONNECT, whose answers are framed differently, are not supported.
"""
