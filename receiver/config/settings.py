"""The settings of the service and of its commands.

Lists are comma-separated; durations are in seconds (RETENTION_DAYS in days) and may have fractions.
The docstring below a field is its text in the reference (docs/settings.md), and in the error if it
is needed and not set; `repr=False` marks values that are never shown, in an error or anywhere else.
"""

import os
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, model_validator

from receiver.config import values as kinds
from receiver.config.environment import PREFIX, Settings


def _at_least_poll_min(longest: float, info: ValidationInfo) -> float:
    if longest < info.data.get("poll_min", 0):
        raise ValueError(f"it is less than {PREFIX}POLL_MIN ({info.data['poll_min']:g})")
    return longest


def _shared_by_replicas(keys: tuple[SecretStr, ...], info: ValidationInfo) -> tuple[SecretStr, ...]:
    if not keys and info.data.get("database_url", "").startswith("postgresql:"):
        raise ValueError("a postgresql:// database requires it, the same for every replica")
    return keys


SecretKeys = Annotated[kinds.SecretKeys, AfterValidator(_shared_by_replicas)]


class StoreSettings(Settings):
    """The store's settings, for the commands that work on it directly."""

    database_url: kinds.DatabaseUrl = Field("sqlite:///data/receiver.db", repr=False)
    """The database: `sqlite:///path` (relative; four slashes begin an absolute path) or
    `postgresql://user:password@host:5432/database` (docs/postgresql.md)."""

    @property
    def sqlite_path(self) -> Path | None:
        """The database file; None if the store is not SQLite."""
        scheme, _, path = self.database_url.partition(":///")
        return Path(path) if scheme == "sqlite" else None

    @property
    def secret_file(self) -> Path | None:
        """The file with the signing secrets if SECRET_KEYS is not set; None without SQLite."""
        # Every symbolic link to the database leads to the same file. (`Path.resolve` raises
        # RuntimeError for a loop of links, which opening the database reports better.)
        return self.sqlite_path and Path(f"{os.path.realpath(self.sqlite_path)}.keys")


class ArchiveSettings(Settings):
    """Where result files are kept."""

    archive_url: kinds.ArchiveUrl | None = None
    """Where to keep result files: `file:///folder` or `s3://bucket/prefix` (extra `s3`). Not set,
    they are not kept."""
    archive_max_bytes: kinds.Bytes = 2_147_483_648
    """Maximum size of a file that is kept."""
    archive_user_bytes: kinds.Bytes | None = None
    """Maximum size of all files of one user: further ones are not kept."""


class LogSettings(Settings):
    log_format: kinds.LogFormat | None = None
    """`json` or `console`. Not set: `console` on a terminal, else `json`."""
    log_level: kinds.LogLevel = "info"
    """The lowest level written: `debug`, `info`, `warning`, `error` or `critical`."""
    log_access: bool = True
    """Whether each request is logged (at level `info`)."""


def _listening_address(values: dict[str, Any]) -> str:
    host, port = values["host"], values["port"]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class AddressSettings(Settings):
    """Where the service listens, and how others reach it."""

    host: kinds.Host = "127.0.0.1"
    """The address to listen on."""
    port: kinds.Port = 8000
    """The port to listen on; 0 takes any free port."""
    public_url: kinds.BaseUrl = Field(default_factory=_listening_address)
    """The address at which the provider reaches the service: callback addresses start with it.
    It may have a path (docs/asgi.md). Not set: `http://HOST:PORT`."""

    @property
    def root(self) -> str:
        """The path in PUBLIC_URL, with which the service's own links begin; often empty."""
        return urlsplit(self.public_url).path

    def with_port(self, port: int) -> Self:
        """These settings with the bound `port` instead of 0; an explicit PUBLIC_URL is kept."""
        update: dict[str, object] = {"port": port}
        if "public_url" not in self.model_fields_set:
            update["public_url"] = _listening_address({"host": self.host, "port": port})
        return self.model_copy(update=update)


class ClientSettings(AddressSettings):
    """The settings of commands that talk to a running service over HTTP."""

    url: kinds.BaseUrl = Field(default_factory=lambda values: str(values["public_url"]))
    """The service that the commands call. Not set: PUBLIC_URL."""
    api_key: kinds.HeaderValue = Field(repr=False)
    """The API key that the commands send (`receiver keys create` prints one)."""

    @model_validator(mode="before")
    @classmethod
    def _only_the_url(cls, values: dict[str, object]) -> dict[str, object]:
        """Ignore the address settings, valid or not, if the URL is set."""
        if not str(values.get("url", "")).strip():
            return values
        unused = AddressSettings.model_fields
        return {name: value for name, value in values.items() if name not in unused}


class SandboxSettings(Settings):
    """How the simulated providers behave."""

    sandbox_render: kinds.Seconds = 8
    """How long a sandbox job takes."""
    sandbox_places: kinds.Count | None = None
    """How many sandbox jobs run at once; more wait at the sandbox. Not set: all."""
    sandbox_drop_callbacks: kinds.Probability = 0
    """Probability that a callback of the sandbox is never sent."""
    sandbox_duplicate_callbacks: kinds.Probability = 0
    """Probability that a callback of the sandbox is sent twice."""
    sandbox_fail_jobs: kinds.Probability = 0
    """Probability that a sandbox job ends FAILED."""
    sandbox_submit_timeouts: kinds.Probability = 0
    """Probability that a sandbox job is created but its submission gets no answer."""


class ServeSettings(StoreSettings, ArchiveSettings, LogSettings, AddressSettings):
    """The settings of the service that do not depend on the providers."""

    secret_keys: SecretKeys = Field((), repr=False)
    """Signing keys of at least 32 characters, newest first: the first signs, all verify. Not set:
    one is made at the first start and kept beside the SQLite database. Needed with PostgreSQL."""

    submit_wait: kinds.Seconds = 10
    """How long `POST /v1/video/…` waits for the provider's answer."""
    submit_timeout: kinds.Seconds = 60
    """The longest that one submission call can take."""
    submit_concurrency: kinds.Count = 32
    """Concurrent submission calls in each process. A free slot goes to the user with the fewest."""
    queue_deadline: kinds.Seconds = 86_400
    """For a provider in JOBS_IN_FLIGHT: time from creation to FAILED while queued, in place of
    JOB_DEADLINE."""
    confirm_callbacks: bool = True
    """Whether a callback that ends a job is confirmed by a status call before it counts."""
    confirm_timeout: kinds.Seconds = 60
    """How long until an unconfirmed callback is trusted, from the first status call that fails."""

    poll_first: kinds.Seconds = 30
    """Time from acceptance to the first status call."""
    poll_min: kinds.Seconds = 5
    """The shortest gap between status calls for a job."""
    poll_max: Annotated[kinds.Seconds, AfterValidator(_at_least_poll_min)] = 120
    """The longest gap between status calls for a job."""
    poll_rate: kinds.PerSecond = 50
    """Status calls per second in each process, for all jobs together."""
    poll_concurrency: kinds.Count = 16
    """Concurrent status calls in each process, for all jobs together."""

    job_deadline: kinds.Seconds = 3600
    """Time from acceptance to FAILED (while queued: from creation)."""
    unconfirmed_deadline: kinds.Seconds = 3600
    """How long a submission with an unknown outcome waits for its callback."""

    relay_schedule: kinds.Schedule = (0, 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
    """The gaps before each attempt at a webhook, plus jitter; the first can be 0."""
    relay_timeout: kinds.Seconds = 15
    """The longest attempt at a webhook, from the name lookup to the end of the response."""
    relay_allow_nets: kinds.Networks = ()
    """Private and other special networks (CIDR) that webhooks and result files can be in."""
    relay_allow_http: bool = False
    """Whether webhook addresses, and the links of results to archive, can be `http://`."""

    max_body_bytes: kinds.Count = 1_048_576
    """Maximum size of a request body."""
    user_storage: kinds.OptionalBytes = 1_073_741_824
    """Maximum size of the stored inputs and results of one user, whose submissions are refused
    beyond; empty turns the limit off."""
    rate_limit: kinds.RateLimit = kinds.Rate(600, 60)
    """Requests per key in each process, without `GET /v1/jobs/{id}` and `/v1/video/status`:
    `N/second`, `N/minute` or `N/hour`, evenly after a burst of N; empty turns the limit off."""
    stream_heartbeat: kinds.Seconds = 15
    """Time between the heartbeats of a stream."""
    stream_max_per_key: kinds.Count = 100
    """Open streams per key in each process."""
    cors_origins: kinds.Origins = ()
    """The origins whose pages can call the service."""
    retention_days: kinds.Days = 30
    """How long finished jobs are kept; longer after a jump of the clock (docs/operating.md), for up
    to a day while a failure may be corrected, and for up to a week while a webhook is pending."""

    @property
    def lacks_secrets(self) -> bool:
        """Whether signing secrets must still be created: none are set, and there is no file."""
        file = self.secret_file
        return not self.secret_keys and file is not None and not file.exists()
