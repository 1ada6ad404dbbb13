"""The context of request handlers."""

from collections import Counter
from dataclasses import dataclass, field
from random import Random

from receiver.archive.contract import Archive
from receiver.config.settings import ServeSettings
from receiver.engine.accept_callback import CallbackIntake
from receiver.engine.backlog import Backlog
from receiver.engine.context import ServiceContext
from receiver.engine.deliveries import WebhookDeliveries
from receiver.engine.renew_link import LinkRenewals
from receiver.engine.submissions import Submissions
from receiver.http_api.auth import Authenticator
from receiver.http_api.body import Bodies
from receiver.http_api.limits import RateLimit, UserLocks
from receiver.http_api.readiness import Readiness
from receiver.http_api.sessions import Sessions
from receiver.large_bodies import LargeBodies
from receiver.signed_text import Signer
from receiver.streams.broadcast import Broadcast
from receiver.streams.hub import Hub
from receiver.webhooks.delivery import WebhookSender


@dataclass(slots=True)
class ApiContext:
    """What request handlers use of a running service."""

    services: ServiceContext
    settings: ServeSettings
    signer: Signer
    hub: Hub
    broadcast: Broadcast
    bodies: Bodies
    large_bodies: LargeBodies
    submissions: Submissions
    deliveries: WebhookDeliveries
    callbacks: CallbackIntake
    sender: WebhookSender
    rng: Random
    """Also generates API keys, so it must be unpredictable."""
    archive: Archive | None = None
    """None if result files are not archived."""
    sessions: Sessions = field(init=False)
    auth: Authenticator = field(init=False)
    rate_limit: RateLimit = field(init=False)
    long_read_locks: UserLocks = field(init=False, default_factory=UserLocks)
    readiness: Readiness = field(init=False)
    backlog: Backlog = field(init=False)
    renewals: LinkRenewals = field(init=False)
    stopping: bool = False
    """Whether the service is shutting down: waiting requests are then answered at once."""
    open_streams: Counter[str] = field(default_factory=Counter)
    """Number of open streams by key hash."""
    webhook_tests: UserLocks = field(init=False, default_factory=UserLocks)
    """Held while a user's test message is sent."""

    def __post_init__(self) -> None:
        services, clock = self.services, self.services.clock
        is_secure = self.settings.public_url.startswith("https:")
        self.sessions = Sessions(self.signer, clock, secure=is_secure)
        self.auth = Authenticator(services, self.sessions)
        self.rate_limit = RateLimit(self.settings.rate_limit, clock)
        self.readiness = Readiness(services.store, clock)
        self.backlog = Backlog(services)
        self.renewals = LinkRenewals(services)
