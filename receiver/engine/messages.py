"""The bodies of webhooks as they are sent."""

from receiver.dialects import webhooks
from store.database import Store
from store.records.deliveries import Delivery


def adds_members(delivery: Delivery) -> bool:
    """Whether the body as it is sent has more members than the stored one."""
    return delivery.source in webhooks.BASE_PATHS


async def whole_body(store: Store, delivery: Delivery) -> bytes:
    """The body as it is sent: with the job's input and result, where the shape has them."""
    if delivery.source not in webhooks.BASE_PATHS:
        return delivery.body
    job_input = await store.jobs.input_of(delivery.job_id) or "null"
    result = await store.jobs.result_of(delivery.job_id) or "null"
    job = await store.jobs.find(delivery.job_id)
    details = job.details if job else None
    return webhooks.complete(
        delivery.source, delivery.status, delivery.body, job_input, result, details
    )
