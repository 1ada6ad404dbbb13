"""What a described provider offers."""

from collections.abc import Iterator

from pydantic import SecretStr

from receiver.config.environment import Settings
from receiver.domain.prices import PriceList
from receiver.providers.described.entry import DescribedEntry
from receiver.providers.described.simulator import JWKS, DescribedApi, twin_secret
from receiver.providers.described.upstream import Access, Described
from receiver.providers.plugin import Plugin
from receiver.upstream.api import Account


class DescribedPlugin(Plugin[Settings]):
    def __init__(self, entry: DescribedEntry) -> None:
        self._entry, self._one = entry, entry.description

    def check_kind(self, kind: str) -> str | None:
        return self._one.kind_fault(kind)

    def open(self, settings: Settings, account: Account) -> Described:
        if account.name == self._entry.name:
            return Described(self._one, account, Access(self._secrets(settings)))
        signature = self._one.signature
        asks = signature is not None and signature.keys is not None
        secrets = () if asks else (self._secret_of_twin(settings),)
        return Described(self._one, account, Access(secrets, f"{account.base_url}{JWKS}"))

    def simulator(
        self, settings: Settings, key: str | None, prices: PriceList | None
    ) -> DescribedApi:
        return DescribedApi(self._one, self._secret_of_twin(settings), key, prices)

    def cautions(self, settings: Settings) -> Iterator[tuple[str, str, str]]:
        signature = self._one.signature
        if signature is not None and signature.keys is None and not self._secrets(settings):
            name = self._entry.webhook_secret.upper()
            detail = f"{self._entry.name} signs its callbacks, but no secret is set to verify them"
            yield "signatures", detail, f"Set RECEIVER_{name}, or each costs a status call."

    def _secrets(self, settings: Settings) -> tuple[str, ...]:
        given: tuple[SecretStr, ...] = getattr(settings, self._entry.webhook_secret)
        return tuple(secret.get_secret_value() for secret in given)

    def _secret_of_twin(self, settings: Settings) -> str:
        """That of the provider, if the twin can sign with it: it has only public keys for others
        to verify."""
        signature = self._one.signature
        given = () if signature and signature.scheme == "ed25519" else self._secrets(settings)
        return next(iter(given), twin_secret(self._one))
