"""A small HTTP/1.1 client on asyncio and httptools. The caller opens the connections.

Why not httpx or httpcore: with them, the two or three calls of a job took a third of its time in
the event loop. And after a failed submission we must know whether any byte may have been sent,
which is clear if connecting and sending are separate calls.

It has no pool, redirects or proxies, and only `connect` has a timeout: use `asyncio.timeout`. The
methods HEAD and CONNECT, whose answers are framed differently, are not supported.
"""

from receiver.http_client.connection import Connection as Connection
from receiver.http_client.connection import connect as connect
from receiver.http_client.connection import default_tls as default_tls
from receiver.http_client.resolver import IPAddress as IPAddress
from receiver.http_client.resolver import NoAddress as NoAddress
from receiver.http_client.resolver import Resolver as Resolver
from receiver.http_client.response import LONGEST_HEAD as LONGEST_HEAD
from receiver.http_client.response import AnswerTooLong as AnswerTooLong
from receiver.http_client.response import BadAnswer as BadAnswer
from receiver.http_client.response import Response as Response
