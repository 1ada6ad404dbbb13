"""What Replicate's folder offers."""

from collections.abc import Mapping

from receiver.domain.prices import PriceList
from receiver.providers.plugin import Plugin
from receiver.providers.replicate.routes import API, ROUTES
from receiver.providers.replicate.settings import ReplicateSettings
from receiver.providers.replicate.shape import ReplicateWebhooks
from receiver.providers.replicate.simulator import ReplicateApi
from receiver.providers.replicate.upstream import Replicate
from receiver.upstream.api import Account


class ReplicatePlugin(Plugin[ReplicateSettings]):
    routes = ROUTES

    def check_kind(self, kind: str) -> str | None:
        return Replicate.check_kind(kind)

    def open(self, settings: ReplicateSettings, account: Account) -> Replicate:
        secrets = [each.get_secret_value() for each in settings.replicate_webhook_secret]
        return Replicate(account, secrets)

    def settings_for_twin(self, base_url: str) -> Mapping[str, object]:
        return {"replicate_webhook_secret": ()}

    def simulator(
        self, settings: ReplicateSettings, key: str | None, prices: PriceList | None
    ) -> ReplicateApi:
        return ReplicateApi(key, prices)

    def client_webhooks(self, public_url: str) -> ReplicateWebhooks:
        return ReplicateWebhooks(public_url + API.path)
