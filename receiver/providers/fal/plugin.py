"""What fal's folder offers."""

from collections.abc import Iterator, Mapping

from receiver.domain.prices import PriceList
from receiver.providers.fal.routes import ROUTES
from receiver.providers.fal.settings import FalSettings
from receiver.providers.fal.shape import FalWebhooks
from receiver.providers.fal.simulator import FalApi
from receiver.providers.fal.upstream import Fal
from receiver.providers.plugin import Plugin
from receiver.upstream.api import Account


class FalPlugin(Plugin[FalSettings]):
    routes = ROUTES

    def check_kind(self, kind: str) -> str | None:
        return Fal.check_kind(kind)

    def open(self, settings: FalSettings, account: Account) -> Fal:
        return Fal(account, settings.fal_jwks_url, settings.fal_user_id)

    def settings_for_twin(self, base_url: str) -> Mapping[str, object]:
        return {"fal_jwks_url": f"{base_url}.well-known/jwks.json", "fal_user_id": None}

    def simulator(self, settings: FalSettings, key: str | None, prices: PriceList | None) -> FalApi:
        return FalApi(key, prices)

    def client_webhooks(self, public_url: str) -> FalWebhooks:
        return FalWebhooks()

    def cautions(self, settings: FalSettings) -> Iterator[tuple[str, str, str]]:
        if settings.fal_user_id is None:
            detail = (
                "fal signs with the same keys for all customers, so any customer's signature is"
                " accepted, and only the secret token in the callback URL protects a job"
            )
            yield "signatures", detail, "Set RECEIVER_FAL_USER_ID to your user id."
