"""The checks of `doctor`. Each reports what it found, and what to do about it."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import Literal

import httpx

from receiver.archive import open_archive
from receiver.archive.contract import ArchiveUnavailable
from receiver.cli.command import exists, open_configured_store
from receiver.cli.errors import sentence, status_and_advice
from receiver.cli.output import Output, Table
from receiver.clock import Clock
from receiver.domain.answers import StatusMissing, StatusReport, StatusUnavailable
from receiver.http_client.connection import default_tls
from receiver.providers.registry import open_provider
from receiver.secret_file import SecretFileError, SecretsInvalid, load_or_create
from receiver.settings import KEY_OF, ServeSettings
from receiver.this_machine import is_this_machine
from store.database import Store
from store.errors import StoreError
from store.sqlite.lockfile import is_served

TIMEOUT = 10.0
CLOCK_TOLERANCE = 120.0
SANE_YEARS = range(2025, 2100)
DISK_LOW = 1024**3
DISK_FULL = 100 * 1024**2

State = Literal["ok", "warning", "failed"]


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    state: State
    detail: str
    advice: str | None = None
    """What to do about it."""


ANY_FAL_CUSTOMER = Finding(
    "signatures",
    "warning",
    "fal signs with the same keys for all customers, so any customer's signature is"
    " accepted, and only the secret token in the callback URL protects a job",
    "Set RECEIVER_FAL_USER_ID to your user id.",
)

ARCHIVE_ADVICE = (
    "Check the permissions and free space of the folder, or the bucket's credentials, permissions"
    " and endpoint (AWS_…), or set RECEIVER_ARCHIVE_URL to another one."
)


async def check_all(settings: ServeSettings, clock: Clock) -> list[Finding]:
    """Run all checks, one after the other; none raises."""
    findings = [Finding("settings", "warning", warning) for warning in settings.warnings()]
    running = ", ".join(settings.provider_names)
    findings.append(Finding("settings", "ok", f"provider {running}, {settings.public_url}"))
    findings += await _check_store(settings)
    if settings.archive_url is not None:
        findings.append(await _check_archive(settings.archive_url))
    findings += [await _check_provider(name, settings, clock) for name in settings.provider_names]
    if "fal" in settings.provider_names and settings.fal_user_id is None:
        findings.append(ANY_FAL_CUSTOMER)
    findings.append(await _check_public_address(settings))
    findings.append(await _check_clock(settings, clock))
    return findings


def output_of(findings: Sequence[Finding]) -> Output:
    """What the command prints."""
    checks = [asdict(finding) for finding in findings]
    table = Table(
        "state check detail advice",
        checks,
        empty="Nothing was checked.",
        texts=("detail", "advice"),
    )
    ok = all(finding.state != "failed" for finding in findings)
    return Output({"ok": ok, "checks": checks}, table)


# --- the store ------------------------------------------------------------------------------------


async def _check_store(settings: ServeSettings) -> list[Finding]:
    try:
        return await _check_database(settings)
    except OSError as error:  # a folder that this user cannot read
        return [Finding("store", "failed", sentence(error), "Check the folder's permissions.")]


async def _check_database(settings: ServeSettings) -> list[Finding]:
    path = settings.sqlite_path
    if path is not None and not exists(path):
        return [_check_folder(path)]
    if path is not None and (fault := _fault_of_file(path)):
        return [fault, _check_disk(path.parent)]
    findings = []
    try:
        async with open_configured_store(settings) as store:
            await store.check_writable()
            findings.append(Finding("store", "ok", "writable"))
            found = await store.durability()
            state: State = "failed" if not found.crash_safe else "warning" if found.advice else "ok"
            findings.append(Finding("durability", state, found.detail, found.advice))
            findings += await _check_secrets(settings, store)
    except StoreError as error:
        about = status_and_advice(error)
        findings.append(Finding("store", "failed", str(error), about and about[1]))
    if path is not None:
        findings.append(_check_disk(path.parent))
    return findings


def _fault_of_file(path: Path) -> Finding | None:
    found = path.stat()
    if found.st_size == 0 and path.is_file():
        advice = "Put a backup in its place, or delete it: `receiver serve` creates a new one."
        return Finding("store", "failed", f"{path} is empty", advice)
    if found.st_nlink > 1 and path.is_file():
        advice = "Remove one of the names: `receiver serve` does not start while it has two."
        return Finding("store", "failed", f"{path} has two names (a hard link)", advice)
    return None


async def _check_secrets(settings: ServeSettings, store: Store) -> list[Finding]:
    """The file with the signing secrets, if they are in one."""
    file = settings.secret_file
    if settings.secret_keys or file is None:
        return []
    if not file.exists():
        newest = await store.jobs.newest()
        lost = f"{file} does not exist, but the database has jobs"
        advice = "Restore the file: without it, earlier callback URLs, tickets and sessions fail."
        return [Finding("secrets", "warning", lost, advice)] if newest is not None else []
    try:
        load_or_create(file)
    except SecretsInvalid as error:
        return [Finding("secrets", "failed", str(error), "Restore the file from a backup.")]
    except SecretFileError as error:
        advice = "Make it a file that the user of the service can read, and no one else."
        return [Finding("secrets", "failed", str(error), advice)]
    return [Finding("secrets", "ok", str(file))]


def _check_folder(path: Path) -> Finding:
    if is_served(path):
        return Finding(
            "store",
            "failed",
            f"{path} was removed or renamed, and the service that runs on it stores nothing now",
            f"Put the file back. Or stop the service, move {path}-wal and {path}-shm away, and put"
            " a backup in its place.",
        )
    folder = next(each for each in path.absolute().parents if each.exists())
    if os.access(folder, os.W_OK | os.X_OK):
        return Finding(
            "store", "warning", f"{path} does not exist yet; `receiver serve` creates it"
        )
    return Finding(
        "store",
        "failed",
        f"{path} does not exist, and {folder} is not writable",
        "Make the folder writable for this user, or set RECEIVER_DATABASE_URL.",
    )


def _check_disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    detail = f"{free / 1024**3:.1f} GiB free"
    if free < DISK_FULL:
        return Finding("disk", "failed", detail, f"Free space on the disk of {folder}.")
    if free < DISK_LOW:
        return Finding("disk", "warning", detail, f"The disk of {folder} will soon be full.")
    return Finding("disk", "ok", detail)


async def _check_archive(url: str) -> Finding:
    """Whether a file can be stored and removed."""

    async def content() -> AsyncIterator[bytes]:
        yield b"doctor"

    folder = ".doctor"
    try:
        archive = open_archive(url)
        async with asyncio.timeout(TIMEOUT):
            await archive.put(f"{folder}/check", "text/plain", content())
            await archive.remove(folder)
    except (ArchiveUnavailable, TimeoutError) as error:
        reason = str(error) or f"no answer within {TIMEOUT:g} s"
        return Finding("archive", "failed", f"{url} is not writable: {reason}", ARCHIVE_ADVICE)
    return Finding("archive", "ok", f"{url} is writable")


# --- the providers --------------------------------------------------------------------------------


async def _check_provider(name: str, settings: ServeSettings, clock: Clock) -> Finding:
    """Whether it answers and accepts the key. A status call is free."""
    base_url = settings.base_url_of(name)
    if base_url is None:
        return Finding("provider", "ok", f"{name}: an embedded sandbox")
    failed = partial(Finding, "provider", "failed")
    provider = open_provider(name, settings, clock)
    try:
        answer = await provider.status(provider.absent_job)
    finally:
        await provider.close()
    match answer:
        case StatusMissing(is_json=False):
            return failed(
                f"{base_url} answers 404, but not as the provider does",
                f"Check RECEIVER_{name.upper()}_BASE_URL.",
            )
        case StatusMissing() | StatusReport():
            return Finding("provider", "ok", f"{base_url} accepts the key")
        case StatusUnavailable(credentials_refused=True):
            advice = f"Set RECEIVER_{KEY_OF[name].upper()} to a valid key"
            if name == "samsar":
                advice += " (it is sent in the header RECEIVER_SAMSAR_AUTH_HEADER)"
            return failed(f"{base_url} rejects the key: {answer.reason}", f"{advice}.")
        case StatusUnavailable():
            return failed(
                f"{base_url}: {answer.reason}",
                f"Check RECEIVER_{name.upper()}_BASE_URL and the network connection to it.",
            )


# --- addresses and time ---------------------------------------------------------------------------


async def _check_public_address(settings: ServeSettings) -> Finding:
    """Whether callbacks would arrive, as far as can be checked from here."""
    url, real = settings.public_url, _real_providers(settings)
    bad = partial(Finding, "public address", "failed" if real else "warning")
    if is_this_machine(url) and not all(map(is_this_machine, real)):
        return bad(
            f"{url} is this machine, which the provider cannot reach",
            "Set RECEIVER_PUBLIC_URL to the URL at which the provider reaches this service.",
        )
    try:
        response = await _get(f"{url}/livez")
    except httpx.HTTPError as error:
        return bad(
            f"{url} does not answer: {str(error) or type(error).__name__}",
            "Start `receiver serve`, and point RECEIVER_PUBLIC_URL to it.",
        )
    if response.status_code != 200 or "X-Request-ID" not in response.headers:
        return bad(
            f"{url}/livez answers {response.status_code} and is not this service",
            "Point RECEIVER_PUBLIC_URL to `receiver serve`, without a redirect.",
        )
    return Finding("public address", "ok", f"{url} reaches a running service")


async def _check_clock(settings: ServeSettings, clock: Clock) -> Finding:
    """Signed webhooks and deadlines depend on the clock. It is compared with the provider's."""
    now = datetime.fromtimestamp(clock.now() / 1_000, UTC)
    advice = "Set this machine's clock, for example with NTP."
    if now.year not in SANE_YEARS:
        return Finding("clock", "failed", f"it says {now:%Y-%m-%d}", advice)
    real = _real_providers(settings)
    if not real:
        return Finding("clock", "ok", f"{now:%Y-%m-%d %H:%M:%S}Z")
    try:
        response = await _get(real[0])
        theirs = parsedate_to_datetime(response.headers["Date"])
    except (httpx.HTTPError, KeyError, ValueError):
        return Finding("clock", "warning", "it cannot be compared with the provider's clock")
    apart = abs(now.timestamp() - theirs.timestamp())
    if apart > CLOCK_TOLERANCE:
        return Finding("clock", "failed", f"{apart:.0f} s off the provider's clock", advice)
    return Finding("clock", "ok", f"within {max(apart, 1):.0f} s of the provider's clock")


def _real_providers(settings: ServeSettings) -> list[str]:
    """The base URLs of the providers that are not embedded sandboxes."""
    return [url for url in map(settings.base_url_of, settings.provider_names) if url is not None]


async def _get(url: str) -> httpx.Response:
    # Trusts the same authorities as the service's own calls, SSL_CERT_FILE among them.
    async with httpx.AsyncClient(timeout=TIMEOUT, trust_env=False, verify=default_tls()) as client:
        return await client.get(url)
