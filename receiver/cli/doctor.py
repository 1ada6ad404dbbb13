"""`doctor`: checks what a service with these settings needs, and says what to do about it."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, TypeAlias

import httpx
import typer

from receiver.archive import open_archive
from receiver.archive.contract import ArchiveUnavailable
from receiver.cli.common import Json, configured_store, coroutine, is_missing
from receiver.cli.errors import FAILED, USAGE, advice, sentence
from receiver.cli.output import Table, emit
from receiver.clock import SystemClock
from receiver.config.environment import SettingsError, load
from receiver.domain.answers import StatusMissing, StatusReport, StatusUnavailable
from receiver.net.this_machine import is_this_machine
from receiver.providers.entry import Entry
from receiver.providers.settings import ServiceSettings, with_providers
from receiver.upstream.contract import Provider
from store.errors import StoreError

TIMEOUT: Final = 10.0
State: TypeAlias = Literal["ok", "warning", "failed"]


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    state: State
    detail: str
    advice: str = ""
    """What to do about it."""


_Result: TypeAlias = tuple[State, str, str]
"""State, detail and advice."""


@coroutine
async def doctor(json: Json = False) -> None:
    """Check settings, store, providers, public address and archive. Exits with 1 if a check failed,
    and with 2 if it is the settings."""
    status = FAILED
    try:
        findings = await check_all(load(with_providers(ServiceSettings)))
    except SettingsError as error:
        findings = [Finding("settings", "warning", warning) for warning in error.warnings]
        findings += [Finding("settings", "failed", fault) for fault in error.faults]
        status = USAGE
    checks = [asdict(finding) for finding in findings]
    ok = all(finding.state != "failed" for finding in findings)
    table = Table("state check detail advice", checks, "Nothing was checked.")
    emit(json, {"ok": ok, "checks": checks}, table)
    if not ok:
        raise typer.Exit(status)


async def check_all(settings: ServiceSettings) -> list[Finding]:
    """Run all checks, one after the other; none raises."""
    findings = [Finding("settings", "warning", warning) for warning in settings.warnings()]
    running = ", ".join(settings.provider_names)
    findings.append(Finding("settings", "ok", f"provider {running}, {settings.public_url}"))
    findings.append(await _finding("store", _check_store(settings)))
    if settings.archive_url is not None:
        findings.append(await _finding("archive", _check_archive(settings.archive_url)))
    findings += await _check_providers(settings)
    findings += _check_prices(settings)
    findings.append(await _finding("public address", _check_public_address(settings)))
    return findings


def _check_prices(settings: ServiceSettings) -> Iterator[Finding]:
    """The prices that no budget holds back."""
    for price in settings.prices.price if settings.prices else ():
        if price.measured and not (price.fixed or price.per):
            which = f"the price of {price.provider}, {price.kind!r}"
            detail = f"{which}, has `measured` alone: it reserves 0, so no budget holds it back"
            yield Finding("prices", "warning", detail, "Add `fixed` or `per`, for what to reserve.")


async def _finding(check: str, running: Coroutine[Any, Any, _Result]) -> Finding:
    """What a check returns, or raises."""
    try:
        return Finding(check, *await running)
    except (StoreError, ArchiveUnavailable, OSError) as error:  # a TimeoutError is an OSError
        said = sentence(error) if str(error) else f"No answer within {TIMEOUT:g} s."
        return Finding(check, "failed", said, advice(error))


async def _check_store(settings: ServiceSettings) -> _Result:
    if is_missing(settings):
        detail = f"there is no database at {settings.sqlite_path} yet; `receiver serve` creates it"
        return "warning", detail, ""
    async with configured_store(settings) as store:
        await store.check_writable()
        found = await store.durability()
    state: State = "failed" if not found.crash_safe else "warning" if found.advice else "ok"
    return state, f"writable, {found.detail}", found.advice or ""


async def _check_archive(url: str) -> _Result:
    """Whether a file can be stored and removed."""

    async def content() -> AsyncIterator[bytes]:
        yield b"doctor"

    archive = open_archive(url)
    async with asyncio.timeout(TIMEOUT):
        await archive.put(".doctor/check", "text/plain", content())
        await archive.remove(".doctor")
    return "ok", f"{url} is writable", ""


async def _check_providers(settings: ServiceSettings) -> list[Finding]:
    # Imported here: it is slow, and other commands do not need it.
    from receiver.providers.registry import Providers

    providers, found = Providers(settings), []
    for name in settings.provider_names:
        if (url := settings.base_url_of(name)) is None:
            found.append(Finding("provider", "ok", f"{name}: an embedded sandbox"))
        else:
            provider = providers.open(name, SystemClock())
            check = _check_provider(url, settings.known[name], provider)
            found.append(await _finding("provider", check))
    warned = providers.cautions()
    return found + [Finding(name, "warning", detail, to_do) for name, detail, to_do in warned]


async def _check_provider(url: str, entry: Entry, provider: Provider) -> _Result:
    """Whether it answers and accepts the key. A status call is free."""
    try:
        answer = await provider.probe()
    finally:
        await provider.close()
    check_url = f"Check RECEIVER_{entry.base_url.upper()} and the network connection to it."
    match answer:
        case StatusMissing(is_json=False):
            return "failed", f"{url} answers 404, but not as the provider does", check_url
        case StatusMissing() | StatusReport():
            return "ok", f"{url} accepts the key", ""
        case StatusUnavailable(credentials_refused=True):
            detail = f"{url} rejects the key: {answer.reason}"
            return "failed", detail, f"Set RECEIVER_{entry.key.upper()} to a valid key."
        case StatusUnavailable(only_this_job=True) if not provider.can_ask:
            return "warning", f"{url}: whether it accepts the key cannot be seen", ""
        case StatusUnavailable():
            return "failed", f"{url}: {answer.reason}", check_url


async def _check_public_address(settings: ServiceSettings) -> _Result:
    """Whether callbacks would arrive, as far as can be checked from here."""
    url = settings.public_url
    real = [base for name in settings.provider_names if (base := settings.base_url_of(name))]

    bad: State = "failed" if real else "warning"
    point = "Start `receiver serve`, and set RECEIVER_PUBLIC_URL to its URL for the provider."
    if is_this_machine(url) and not all(map(is_this_machine, real)):
        return bad, f"{url} is this machine, which the provider cannot reach", point
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT) as http:
            response = await http.get(f"{url}/livez")
    except httpx.HTTPError as error:
        return bad, f"{url} does not answer: {str(error) or type(error).__name__}", point
    if response.status_code != 200 or "X-Request-ID" not in response.headers:
        return bad, f"{url} answers {response.status_code}, but not as this service does", point
    return "ok", f"{url} reaches a running service", ""
