"""A typed client of the service.

    async with AsyncClient("http://127.0.0.1:8000", key) as receiver:
        job = await receiver.submit({"kind": "create_movie", "input": {…}})
        job = await receiver.wait(job["request_id"])

`Job` is the type of a job, a dict.
"""

from receiver.client.client import AsyncClient as AsyncClient
from receiver.client.errors import ApiError as ApiError
from receiver.client.errors import ClientError as ClientError
from receiver.client.errors import Fault as Fault
from receiver.client.errors import Unreachable as Unreachable
from receiver.client.stream import StreamEvent as StreamEvent
from receiver.domain.documents import Job as Job
