"""What Samsar's folder offers."""

from collections.abc import Collection, Mapping

from receiver.domain.prices import PriceList
from receiver.providers.plugin import Plugin
from receiver.providers.samsar.routes import ROUTES
from receiver.providers.samsar.rules import NARRATIVE_VIDEO_MODELS, InputRules
from receiver.providers.samsar.settings import ENTRY, SamsarSettings
from receiver.providers.samsar.simulator import SamsarApi
from receiver.providers.samsar.upstream import Samsar
from receiver.upstream.api import Account


class SamsarPlugin(Plugin[SamsarSettings]):
    routes = ROUTES

    def check_kind(self, kind: str) -> str | None:
        return Samsar.check_kind(kind)

    def open(self, settings: SamsarSettings, account: Account) -> Samsar:
        return Samsar(account, _rules(settings), auth_header=settings.samsar_auth_header)

    def settings_for_twin(self, base_url: str) -> Mapping[str, object]:
        return {"samsar_auth_header": "API-KEY"}

    def simulator(
        self, settings: SamsarSettings, key: str | None, prices: PriceList | None
    ) -> SamsarApi:
        return SamsarApi(_rules(settings), key, prices)

    def words(self, settings: SamsarSettings) -> Mapping[str, Collection[str]]:
        return {
            "MovieProvider": (ENTRY.name, ENTRY.twin),
            "ImageModel": settings.image_models,
            "VideoModel": settings.video_models,
            "NarrativeVideoModel": {*settings.video_models, *NARRATIVE_VIDEO_MODELS},
        }


def _rules(settings: SamsarSettings) -> InputRules:
    return InputRules(settings.image_models, settings.video_models)
