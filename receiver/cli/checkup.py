"""What `doctor` looks at: each check says how it found things, and what to do about them."""

import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Literal

import httpx

from receiver.clock import Clock
from receiver.domain.observations import StatusMissing, StatusReport, StatusUnavailable
from receiver.providers.registry import Surroundings, open_provider
from receiver.settings import ServeSettings, is_this_machine
from store.contract import Store
from store.errors import StoreError
from store.open import open_store

NO_JOB = "0" * 24
"""An id in the provider's own form that no job of it has: asking for it costs nothing."""
TIMEOUT = 10.0
CLOCK_TOLERANCE = 120.0
SANE_YEARS = range(2025, 2100)
DISK_LOW = 1024**3
DISK_FULL = 100 * 1024**2

State = Literal["ok", "remark", "failed"]


@dataclass(frozen=True, slots=True)
class Finding:
    """How one check found things."""

    check: str
    state: State
    detail: str
    advice: str | None = None
    """What to do."""

    def document(self) -> dict[str, Any]:
        return asdict(self)


async def check_all(settings: ServeSettings, clock: Clock) -> AsyncIterator[Finding]:
    """Every check, one after the other; none raises."""
    for warning in settings.warnings():
        yield Finding("settings", "remark", warning)
    yield Finding("settings", "ok", f"provider {settings.provider}, {settings.public_url}")
    async for finding in _check_store(settings):
        yield finding
    yield await _check_provider(settings, clock)
    yield await _check_public_address(settings)
    yield await _check_clock(settings, clock)


# --- the store ------------------------------------------------------------------------------------


async def _check_store(settings: ServeSettings) -> AsyncIterator[Finding]:
    path = settings.sqlite_path
    if path is not None and not path.exists():
        yield _check_future_place(path)
        return
    try:
        store = await open_store(settings.database_url, entropy=os.urandom)
    except (StoreError, ValueError) as error:
        yield Finding(
            "store", "failed", f"{error}", "Set RECEIVER_DATABASE_URL, or mend the database."
        )
        return
    try:
        yield await _check_writing(store)
        yield await _check_durability(store)
    finally:
        await store.close()
    if path is not None:
        yield _check_disk(path.parent)


def _check_future_place(path: Path) -> Finding:
    folder = next(each for each in path.absolute().parents if each.exists())
    if os.access(folder, os.W_OK | os.X_OK):
        return Finding("store", "remark", f"{path} is not there yet: `receiver serve` makes it")
    return Finding(
        "store",
        "failed",
        f"{path} is not there, and {folder} cannot be written to",
        "Give this user the folder, or set RECEIVER_DATABASE_URL.",
    )


async def _check_writing(store: Store) -> Finding:
    try:
        await store.check_writable()
    except StoreError as error:
        return Finding("store", "failed", f"cannot be written to: {error}", "Free the disk.")
    return Finding("store", "ok", "writable")


async def _check_durability(store: Store) -> Finding:
    try:
        found = await store.durability()
    except StoreError as error:
        return Finding("durability", "failed", str(error), "Stop what holds the database.")
    if not found.sound:
        return Finding("durability", "failed", found.detail, found.advice)
    return Finding("durability", "ok", found.detail)


def _check_disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    detail = f"{free / 1024**3:.1f} GiB free"
    if free < DISK_FULL:
        return Finding("disk", "failed", detail, f"Free some of the disk of {folder}.")
    if free < DISK_LOW:
        return Finding("disk", "remark", detail, f"The disk of {folder} will soon be full.")
    return Finding("disk", "ok", detail)


# --- the provider ---------------------------------------------------------------------------------


async def _check_provider(settings: ServeSettings, clock: Clock) -> Finding:
    """Whether it answers, and takes the key; a status call pays for nothing."""
    if settings.provider == "sandbox":
        return Finding("provider", "ok", "the embedded sandbox")
    provider = open_provider(settings.provider, Surroundings(settings, clock))
    try:
        answer = await provider.status(NO_JOB)
    finally:
        await provider.close()
    match answer:
        case StatusMissing() | StatusReport():
            return Finding("provider", "ok", f"{settings.samsar_base_url} takes the key")
        case StatusUnavailable(by_credentials=True):
            return Finding(
                "provider",
                "failed",
                f"{settings.samsar_base_url} refuses the key: {answer.reason}",
                "Set RECEIVER_SAMSAR_API_KEY to a key in force (RECEIVER_SAMSAR_AUTH_HEADER says"
                " in which header it is sent).",
            )
        case StatusUnavailable():
            return Finding(
                "provider",
                "failed",
                f"{settings.samsar_base_url}: {answer.reason}",
                "Check RECEIVER_SAMSAR_BASE_URL, and the way from here to it.",
            )


# --- addresses and time ---------------------------------------------------------------------------


async def _check_public_address(settings: ServeSettings) -> Finding:
    """Whether a callback would arrive, as far as can be seen from here."""
    bad: State = "remark" if settings.provider == "sandbox" else "failed"
    url = settings.public_url
    away = settings.provider != "sandbox" and not is_this_machine(settings.samsar_base_url)
    if away and is_this_machine(url):
        return Finding(
            "public address",
            bad,
            f"{url} is this machine, which the provider cannot reach",
            "Set RECEIVER_PUBLIC_URL to the address at which the provider reaches this service.",
        )
    try:
        response = await _get(f"{url}/livez")
    except httpx.HTTPError as error:
        return Finding(
            "public address",
            bad,
            f"{url} does not answer: {str(error) or type(error).__name__}",
            "Start `receiver serve`, and have RECEIVER_PUBLIC_URL lead to it.",
        )
    if response.status_code != 200 or "X-Request-ID" not in response.headers:
        return Finding(
            "public address",
            bad,
            f"{url}/livez answers {response.status_code}, and is not this service",
            "Have RECEIVER_PUBLIC_URL lead to `receiver serve`, without a redirect.",
        )
    return Finding("public address", "ok", f"{url} reaches a running service")


async def _check_clock(settings: ServeSettings, clock: Clock) -> Finding:
    """Signed webhooks and deadlines rest on it; the provider's own clock is the second opinion."""
    now = datetime.fromtimestamp(clock.now() / 1_000, UTC)
    advice = "Set this machine's clock, by NTP."
    if now.year not in SANE_YEARS:
        return Finding("clock", "failed", f"it is {now:%Y-%m-%d} here", advice)
    if settings.provider == "sandbox":
        return Finding("clock", "ok", f"{now:%Y-%m-%d %H:%M:%S}Z")
    try:
        response = await _get(settings.samsar_base_url)
        theirs = parsedate_to_datetime(response.headers["Date"])
    except (httpx.HTTPError, KeyError, ValueError):
        return Finding("clock", "remark", "the provider tells no time to compare with")
    if theirs.tzinfo is None:
        theirs = theirs.replace(tzinfo=UTC)
    apart = abs((now - theirs).total_seconds())
    if apart > CLOCK_TOLERANCE:
        return Finding("clock", "failed", f"{apart:.0f} s from the provider's", advice)
    return Finding("clock", "ok", f"within {max(apart, 1):.0f} s of the provider's")


async def _get(url: str) -> httpx.Response:
    async with httpx.AsyncClient(timeout=TIMEOUT, trust_env=False) as client:
        return await client.get(url)
