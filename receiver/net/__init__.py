"""How the service calls others: httpx's requests and responses over connections of our own making.

`open_transport` sends each `httpx.Request` through an httpcore pool whose network backend is our
`Backend`: it resolves a host's name without blocking others, checks the addresses, connects to one
of them, and notes whether anything was sent. There are no proxies, redirects, retries or cookies:
`httpx.AsyncClient`, which has them, is not used. Bound the time of a call with `asyncio.timeout`.
"""
