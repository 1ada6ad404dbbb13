"""Settings: the only reader of the environment.

A setting NAME is the environment variable `RECEIVER_NAME`, or a line of `.env` in the working
folder; the environment wins. A blank value means "not set", but for RATE_LIMIT. Lists are text with
commas; durations are seconds and may have fractions. Each command asks for the class that holds
what it uses, through `load`, which finds every fault at once. The docstring below a field is its
line in the reference; `repr=False` marks what is never shown, in a fault or anywhere else.
"""

import difflib
import ipaddress
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    SettingsConfigDict,
)

from receiver.setting_values import (
    BaseUrl,
    Count,
    DatabaseUrl,
    Days,
    FolderUrl,
    HeaderName,
    HeaderValue,
    Host,
    LogFormat,
    LogLevel,
    Names,
    Networks,
    Origins,
    PerSecond,
    Port,
    Probability,
    Rate,
    RateLimit,
    Schedule,
    Seconds,
    SecretKeys,
)

PREFIX = "RECEIVER_"


class SettingsError(Exception):
    """Settings that cannot be used; `faults` says what is wrong with each, and what would do.

    `warnings` are the unknown names beside them: a setting that is missing may be misspelt.
    """

    def __init__(self, faults: tuple[str, ...], warnings: tuple[str, ...] = ()) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults
        self.warnings = warnings


# --- the settings ---------------------------------------------------------------------------------


class Settings(BaseSettings):
    """What every class of settings has in common."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        str_strip_whitespace=True,
        use_attribute_docstrings=True,
        validate_default=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _blank_is_not_set(cls, values: dict[str, object]) -> dict[str, object]:
        return {
            name: value
            for name, value in values.items()
            if name == "rate_limit" or not (isinstance(value, str) and not value.strip())
        }

    def warnings(self) -> list[str]:
        """What is allowed and probably not meant, a sentence each; unknown names first."""
        return list(_unknown_names())


class StoreSettings(Settings):
    """Where everything is kept: enough for the commands that work on the store."""

    database_url: DatabaseUrl = Field("sqlite:///data/receiver.db", repr=False)
    """The store: `sqlite:///path` or `postgresql://…`."""

    @property
    def sqlite_path(self) -> Path | None:
        """The database's file; None when the store is no SQLite."""
        scheme, _, path = self.database_url.partition(":///")
        return Path(path) if scheme == "sqlite" else None

    @property
    def secret_file(self) -> Path | None:
        """Where signing secrets are kept when SECRET_KEYS is not set; None without SQLite."""
        return self._beside_the_database(".keys")

    @property
    def sandbox_file(self) -> Path | None:
        """Where the embedded sandbox remembers its jobs; None without SQLite."""
        return self._beside_the_database(".sandbox")

    def _beside_the_database(self, suffix: str) -> Path | None:
        if self.sqlite_path is None:
            return None
        # By whatever link the database is reached, its companions are the same.
        path = self.sqlite_path.resolve()
        return path.with_name(path.name + suffix)


class LogSettings(Settings):
    """How the log is written."""

    log_format: LogFormat | None = None
    """`json` or `console`; not set, it is `console` on a terminal and `json` off it."""
    log_level: LogLevel = "info"
    """The least of what is written: `debug`, `info`, `warning`, `error` or `critical`."""


def _listening_address(values: dict[str, Any]) -> str:
    host, port = values["host"], values["port"]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class AddressSettings(Settings):
    """Where the service listens, and how the others reach it."""

    host: Host = "127.0.0.1"
    """The address to listen on."""
    port: Port = 8000
    """The port to listen on; 0 takes any that is free."""
    public_url: BaseUrl = Field(default_factory=_listening_address)
    """How the provider reaches us: callback addresses start with it. Not set, `http://HOST:PORT`."""

    def with_port(self, port: int) -> Self:
        """These settings once `port` is bound in place of 0; an address that was set stays."""
        update: dict[str, object] = {"port": port}
        if "public_url" not in self.model_fields_set:
            update["public_url"] = _listening_address({"host": self.host, "port": port})
        return self.model_copy(update=update)


class ClientSettings(AddressSettings):
    """For the commands that speak HTTP to a running service."""

    url: BaseUrl = Field(default_factory=lambda values: str(values["public_url"]))
    """The service that the commands speak to. Not set, PUBLIC_URL."""
    api_key: HeaderValue = Field(repr=False)
    """The key that the commands send (`receiver keys create` prints one)."""


class SandboxSettings(Settings):
    """The embedded provider."""

    samsar_api_key: HeaderValue | None = Field(None, repr=False)
    """The operator's key, sent upstream. A sandbox takes it as its only key; not set, any key."""
    image_models: Names = ("IMAGEN3", "FLUX1.1PRO")
    """The express image models that submissions may name."""
    video_models: Names = ("LUMA", "KLINGIMGTOVIDPRO")
    """The express video models that create_movie takes; create_narrative takes RUNWAYML besides."""
    sandbox_render: Seconds = 8
    """How long a sandbox job takes."""
    sandbox_drop_callbacks: Probability = 0
    """Probability that a callback of the sandbox is never sent."""
    sandbox_duplicate_callbacks: Probability = 0
    """Probability that a callback of the sandbox is sent twice."""
    sandbox_fail_jobs: Probability = 0
    """Probability that a sandbox job ends FAILED."""
    sandbox_submit_timeouts: Probability = 0
    """Probability that a sandbox job is made and the answer to its submission never comes."""


class ServeSettings(StoreSettings, LogSettings, AddressSettings, SandboxSettings):
    """Everything that the service uses."""

    secret_keys: SecretKeys = Field(None, repr=False)
    """Signing secrets, newest first: the first signs, all verify. Not set, one is made at the first
    start and kept beside the SQLite database."""

    provider: Literal["samsar", "sandbox"] = "samsar"
    """The default provider; `sandbox` is the embedded one."""
    samsar_base_url: FolderUrl = "https://api.samsar.one/v1/video/"
    """The address that the provider's paths are put behind."""
    samsar_auth_header: HeaderName = "API-KEY"
    """The header that carries the operator's key; `Authorization` sends `Bearer KEY`."""

    submit_wait: Seconds = 10
    """The longest time that a drop-in submission waits for the provider's answer."""
    submit_timeout: Seconds = 60
    """The longest time that one submission call may take."""
    confirm_callbacks: bool = True
    """Whether a terminal callback is confirmed by a status call before it counts."""
    confirm_timeout: Seconds = 60
    """How long status calls may fail, from the first failed one, before a claim is taken."""

    poll_first: Seconds = 30
    """From acceptance to the first status call."""
    poll_min: Seconds = 5
    """The shortest gap between status calls for a job."""
    poll_max: Seconds = 120
    """The longest gap between status calls for a job."""
    poll_rate: PerSecond = 10
    """Status calls a second, for all jobs together."""
    poll_concurrency: Count = 8
    """Status calls at once, for all jobs together."""

    job_deadline: Seconds = 3600
    """From acceptance to FAILED (while queued: from creation)."""
    unconfirmed_deadline: Seconds = 3600
    """How long an ambiguous submission may wait for its callback."""

    relay_schedule: Schedule = (0, 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
    """The gaps before each attempt of a relay, plus jitter; the first may be 0."""
    relay_timeout: Seconds = 15
    """One relay attempt, from connecting to the last byte."""
    relay_allow_nets: Networks = ()
    """CIDRs that relays may call although they are special-use."""
    relay_allow_http: bool = False
    """Whether relays may call `http://` addresses."""

    max_body_bytes: Count = 1_048_576
    """The largest request body."""
    rate_limit: RateLimit = Rate(600, 60)
    """Requests a key: `N/second`, `N/minute` or `N/hour`; empty turns the limit off."""
    stream_heartbeat: Seconds = 15
    """Between the comment lines of a stream."""
    stream_max_per_key: Count = 100
    """Open streams a key."""
    cors_origins: Origins = ()
    """The origins whose pages may call the service."""
    retention_days: Days = 30
    """How long finished jobs are kept."""

    @field_validator("secret_keys")
    @classmethod
    def _shared_by_replicas(
        cls, keys: tuple[SecretStr, ...] | None, info: ValidationInfo
    ) -> tuple[SecretStr, ...] | None:
        if keys is None and info.data.get("database_url", "").startswith("postgresql:"):
            raise ValueError("a postgresql:// database needs it, the same for every replica")
        return keys

    @field_validator("provider")
    @classmethod
    def _with_its_key(cls, provider: str, info: ValidationInfo) -> str:
        # A key that is faulty itself is not in `data`, and is reported as its own fault.
        if provider == "samsar" and info.data.get("samsar_api_key", "") is None:
            raise ValueError(
                f"it needs {PREFIX}SAMSAR_API_KEY, which is not set"
                f" ({PREFIX}PROVIDER=sandbox needs none)"
            )
        return provider

    @field_validator("poll_max")
    @classmethod
    def _not_under_the_shortest(cls, longest: float, info: ValidationInfo) -> float:
        if longest < info.data.get("poll_min", 0):
            raise ValueError(f"it may not be under {PREFIX}POLL_MIN ({info.data['poll_min']:g})")
        return longest

    def warnings(self) -> list[str]:
        found = super().warnings()
        away = self.provider == "samsar" and not is_this_machine(self.samsar_base_url)
        if away and is_this_machine(self.public_url):
            found.append(
                f"{PREFIX}PUBLIC_URL is {self.public_url}, which the provider cannot reach:"
                " no callback will come, and outcomes are learned by polling alone"
            )
        return found


def is_this_machine(url: str) -> bool:
    """Whether the host of `url` is a loopback or unspecified address, or a name for one."""
    host = urlsplit(url).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


# --- loading --------------------------------------------------------------------------------------

S = TypeVar("S", bound=Settings)


def load(kind: type[S], **given: Any) -> S:
    """Read the settings of one command; `given` (a command's own options) outranks them.

    Raises SettingsError with every fault at once. What `warnings()` says is the caller's to tell.
    """
    try:
        return kind(**given)
    except ValidationError as error:
        details = error.errors(include_url=False)
        # Such a default rests on a setting that has its own fault.
        own = [each for each in details if each["type"] != "default_factory_not_called"]
        faults = dict.fromkeys(_in_words(each, kind) for each in own)
        raise SettingsError(tuple(faults), tuple(_unknown_names())) from None
    except (OSError, UnicodeError) as error:
        raise SettingsError((f".env cannot be read: {error}",)) from None


def _in_words(detail: ErrorDetails, kind: type[Settings]) -> str:
    field_name = str(detail["loc"][0])
    name = PREFIX + field_name.upper()
    field = kind.model_fields[field_name]
    if detail["type"] == "missing":
        return f"{name} is not set: {field.description}"
    reason = detail["msg"]
    if detail["type"] == "value_error":  # our own words, which begin as they should
        reason = reason.removeprefix("Value error, ")
    else:
        reason = reason[:1].lower() + reason[1:]
    if not field.repr:
        # Not "API_KEY: reason", in which the log would take the reason for the key, and hide it.
        return f"{name} cannot be used: {reason}"
    shown = re.sub(r"//[^/\s]*@", "//…@", str(detail["input"]))
    return f"{name} is {shown[:200]!r}: {reason}"


def _unknown_names() -> Iterator[str]:
    known = {name.upper() for kind in (ClientSettings, ServeSettings) for name in kind.model_fields}
    found = {
        name.upper().removeprefix(PREFIX)
        for source in (EnvSettingsSource(ServeSettings), DotEnvSettingsSource(ServeSettings))
        for name in source.env_vars
        if name.upper().startswith(PREFIX)
    }
    for name in sorted(found - known):
        near = difflib.get_close_matches(name, known, n=1)
        meant = f"; did you mean {PREFIX}{near[0]}?" if near else ""
        yield f"{PREFIX}{name} is no setting{meant}"
