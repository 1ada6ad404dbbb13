"""The bodies of webhooks as they are sent."""

from receiver.engine.context import ServiceContext
from store.records.deliveries import Delivery


def adds_members(services: ServiceContext, delivery: Delivery) -> bool:
    """Whether the body as it is sent has more members than the stored one."""
    return delivery.source in services.rules.client_webhooks


async def whole_body(services: ServiceContext, delivery: Delivery) -> bytes:
    """The body as it is sent: with the job's input and result, where the shape has them."""
    client = services.rules.client_webhooks.get(delivery.source or "")
    if client is None:
        return delivery.body
    jobs = services.store.jobs
    job_input = await jobs.input_of(delivery.job_id) or "null"
    result = await jobs.result_of(delivery.job_id) or "null"
    job = await jobs.find(delivery.job_id)
    return client.whole(
        delivery.status, delivery.body, job_input, result, job.details if job else None
    )
