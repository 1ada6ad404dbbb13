"""The settings, as the environment gives them: values, defaults, faults and warnings."""

import re
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path

import pytest

from receiver.app import signing_keys
from receiver.environment import SettingsError, load
from receiver.setting_values import Rate
from receiver.settings import (
    AddressSettings,
    ClientSettings,
    LogSettings,
    SandboxSettings,
    ServeSettings,
    StoreSettings,
    is_this_machine,
)

GOOD_SECRET = "s" * 32
KINDS = (
    AddressSettings,
    ClientSettings,
    LogSettings,
    SandboxSettings,
    ServeSettings,
    StoreSettings,
)

Environment = Callable[..., None]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Environment:
    """Sets RECEIVER_ variables, by name without the prefix; the working folder is empty."""
    monkeypatch.chdir(tmp_path)

    def put(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(f"RECEIVER_{name}", value)

    return put


def serve(**given: object) -> ServeSettings:
    return load(ServeSettings, **{"provider": "sandbox", **given})


def faults_of(kind: type[ServeSettings | ClientSettings | StoreSettings]) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load(kind)
    assert str(caught.value) == "\n".join(caught.value.faults)
    return caught.value.faults


def test_defaults_are_those_of_the_contract() -> None:
    shown = serve().model_dump(exclude={"provider"})
    assert shown == {
        "database_url": "sqlite:///data/receiver.db",
        "host": "127.0.0.1",
        "port": 8000,
        "public_url": "http://127.0.0.1:8000",
        "secret_keys": None,
        "samsar_base_url": "https://api.samsar.one/v1/video/",
        "samsar_api_key": None,
        "samsar_auth_header": "API-KEY",
        "providers": (),
        "replicate_api_token": None,
        "replicate_base_url": "https://api.replicate.com/v1/",
        "replicate_webhook_secret": None,
        "fal_key": None,
        "fal_base_url": "https://queue.fal.run/",
        "fal_jwks_url": "https://rest.fal.ai/.well-known/jwks.json",
        "fal_user_id": None,
        "image_models": ("IMAGEN3", "FLUX1.1PRO"),
        "video_models": ("LUMA", "KLINGIMGTOVIDPRO"),
        "submit_wait": 10,
        "submit_timeout": 60,
        "submit_concurrency": 32,
        "confirm_callbacks": True,
        "look_up_submissions": False,
        "confirm_timeout": 60,
        "poll_first": 30,
        "poll_min": 5,
        "poll_max": 120,
        "poll_rate": 10,
        "poll_concurrency": 8,
        "job_deadline": 3600,
        "unconfirmed_deadline": 3600,
        "relay_schedule": (0, 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400),
        "relay_timeout": 15,
        "relay_allow_nets": (),
        "relay_allow_http": False,
        "archive_url": None,
        "archive_max_bytes": 2_147_483_648,
        "archive_concurrency": 4,
        "max_body_bytes": 1_048_576,
        "rate_limit": {"count": 600, "seconds": 60},
        "stream_heartbeat": 15,
        "stream_max_per_key": 100,
        "cors_origins": (),
        "retention_days": 30,
        "log_format": None,
        "log_level": "info",
        "sandbox_render": 8,
        "sandbox_drop_callbacks": 0,
        "sandbox_duplicate_callbacks": 0,
        "sandbox_fail_jobs": 0,
        "sandbox_submit_timeouts": 0,
    }


def test_text_becomes_values(environment: Environment) -> None:
    environment(
        PROVIDER="sandbox",
        SECRET_KEYS=f"{GOOD_SECRET}, {'t' * 40}",
        RELAY_SCHEDULE="0, 0.5,2",
        RELAY_ALLOW_NETS="127.0.0.0/8,::1",
        CORS_ORIGINS="https://a.example,http://b.example:8080",
        RATE_LIMIT="5/hour",
        IMAGE_MODELS="A,B",
        PUBLIC_URL="https://jobs.example.com/base/",
        SAMSAR_BASE_URL="http://127.0.0.1:9/v1/video",
        CONFIRM_CALLBACKS="false",
        LOG_LEVEL="DEBUG",
        LOG_FORMAT="Console",
        RETENTION_DAYS="0.25",
        PORT="0",
    )
    settings = load(ServeSettings)
    assert settings.secret_keys is not None
    assert [each.get_secret_value() for each in settings.secret_keys] == [GOOD_SECRET, "t" * 40]
    assert list(settings.relay_schedule) == [0, 0.5, 2]
    assert list(settings.relay_allow_nets) == [ip_network("127.0.0.0/8"), ip_network("::1/128")]
    assert list(settings.cors_origins) == ["https://a.example", "http://b.example:8080"]
    assert settings.rate_limit == Rate(5, 3600)
    assert list(settings.image_models) == ["A", "B"]
    assert settings.public_url == "https://jobs.example.com/base"
    assert settings.samsar_base_url == "http://127.0.0.1:9/v1/video/"
    assert not settings.confirm_callbacks
    assert (settings.log_level, settings.log_format) == ("debug", "console")
    assert settings.retention_days == 0.25


def test_blank_is_not_set_but_turns_the_rate_limit_off(environment: Environment) -> None:
    environment(RATE_LIMIT="", POLL_MIN=" ", SECRET_KEYS="", CORS_ORIGINS="", PUBLIC_URL="")
    settings = serve()
    assert settings.rate_limit is None
    assert settings.poll_min == 5
    assert settings.secret_keys is None
    assert settings.cors_origins == ()
    assert settings.public_url == "http://127.0.0.1:8000"


def test_environment_outranks_dotenv(environment: Environment) -> None:
    Path(".env").write_text("RECEIVER_PORT=1111\nRECEIVER_HOST=10.0.0.9\nOTHER=1\n")
    environment(PORT="2222")
    settings = load(AddressSettings)
    assert (settings.host, settings.port) == ("10.0.0.9", 2222)
    assert load(AddressSettings, port=3333).port == 3333


def test_dotenv_that_is_no_text_is_a_fault() -> None:
    Path(".env").write_bytes(b"RECEIVER_PORT=\xff\n")
    [fault] = faults_of(StoreSettings)
    assert fault.startswith(".env cannot be read")


def test_addresses_follow_the_port() -> None:
    settings = load(AddressSettings, port=0, host="::1")
    assert settings.with_port(4711).public_url == "http://[::1]:4711"
    fixed = load(AddressSettings, port=0, public_url="https://jobs.example.com")
    assert fixed.with_port(4711).public_url == "https://jobs.example.com"
    assert fixed.with_port(4711).port == 4711


def test_client_speaks_to_the_public_url_unless_told(environment: Environment) -> None:
    environment(API_KEY="rk_x", PORT="81")
    assert load(ClientSettings).url == "http://127.0.0.1:81"
    environment(PUBLIC_URL="https://jobs.example.com/")
    assert load(ClientSettings).url == "https://jobs.example.com"
    environment(URL="http://other.example/")
    assert load(ClientSettings).url == "http://other.example"


def test_sqlite_paths() -> None:
    assert load(StoreSettings).sqlite_path == Path("data/receiver.db")
    absolute = load(StoreSettings, database_url="sqlite:////var/lib/r/a.db")
    assert absolute.sqlite_path == Path("/var/lib/r/a.db")
    assert absolute.secret_file == Path("/var/lib/r/a.db.keys")
    elsewhere = load(StoreSettings, database_url="postgresql://u:p@db/receiver")
    assert (elsewhere.sqlite_path, elsewhere.secret_file) == (None, None)


def test_what_stands_beside_the_database_is_the_same_by_every_path(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "folder").symlink_to("kept")
    (tmp_path / "link.db").symlink_to("kept/r.db")
    paths = ("kept/r.db", "folder/r.db", "link.db", f"/{tmp_path}/link.db")
    found = [serve(database_url=f"sqlite:///{path}") for path in paths]
    first = signing_keys(found[0])
    assert all(signing_keys(each) == first for each in found)
    assert {each.sandbox_file("sandbox") for each in found} == {tmp_path / "kept" / "r.db.sandbox"}
    assert [path.name for path in tmp_path.rglob("*.keys")] == ["r.db.keys"]
    assert (tmp_path / "kept" / "r.db.keys").is_file()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, "0") for name in ("SUBMIT_WAIT", "SUBMIT_TIMEOUT", "CONFIRM_TIMEOUT")),
        *((name, "0") for name in ("POLL_FIRST", "POLL_MIN", "POLL_MAX", "POLL_RATE")),
        ("SUBMIT_CONCURRENCY", "0"),
        *((name, "-1") for name in ("POLL_CONCURRENCY", "JOB_DEADLINE", "UNCONFIRMED_DEADLINE")),
        *((name, "nan") for name in ("RELAY_TIMEOUT", "STREAM_HEARTBEAT", "RETENTION_DAYS")),
        *((name, "inf") for name in ("SANDBOX_RENDER", "POLL_RATE", "JOB_DEADLINE")),
        ("POLL_CONCURRENCY", "1.5"),
        ("STREAM_MAX_PER_KEY", "0"),
        ("MAX_BODY_BYTES", "0"),
        ("ARCHIVE_MAX_BYTES", "0"),
        ("ARCHIVE_CONCURRENCY", "0"),
        *(("ARCHIVE_URL", url) for url in ("kept", "file://kept", "file:///", "s3://", "s3:///x")),
        *(("ARCHIVE_URL", url) for url in ("https://bucket/x", "s3://bucket/x?y", "s3://Bucket")),
        ("SANDBOX_DROP_CALLBACKS", "1.1"),
        ("SANDBOX_FAIL_JOBS", "-0.1"),
        ("SANDBOX_SUBMIT_TIMEOUTS", "nan"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("PORT", "http"),
        ("HOST", "127.0.0.1/8"),
        ("PROVIDER", "other"),
        ("RELAY_SCHEDULE", "0,0"),
        ("RELAY_SCHEDULE", "-1,5"),
        ("RELAY_SCHEDULE", "5,soon"),
        ("RELAY_SCHEDULE", ","),
        ("RELAY_ALLOW_NETS", "10.0.0.1/8"),
        ("RELAY_ALLOW_NETS", "everything"),
        ("RELAY_ALLOW_HTTP", "perhaps"),
        ("RATE_LIMIT", "600"),
        ("RATE_LIMIT", "0/minute"),
        ("RATE_LIMIT", "6/day"),
        ("PUBLIC_URL", "jobs.example.com"),
        ("PUBLIC_URL", "ftp://jobs.example.com"),
        ("PUBLIC_URL", "https://jobs.example.com/?a=b"),
        ("PUBLIC_URL", "https://jobs.example.com/#a"),
        ("PUBLIC_URL", "https://jobs.example.com:port"),
        ("PUBLIC_URL", "https://me:word@jobs.example.com"),
        ("PUBLIC_URL", "https://jobs.example.com/a b"),
        ("SAMSAR_BASE_URL", "/v1/video/"),
        ("SAMSAR_AUTH_HEADER", "API KEY"),
        ("SAMSAR_API_KEY", "key\u00e9"),
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "https://a.example/"),
        ("CORS_ORIGINS", "https://A.example"),
        ("CORS_ORIGINS", "https://a.example:443"),
        ("IMAGE_MODELS", ","),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
        ("DATABASE_URL", "mysql://h/d"),
        ("DATABASE_URL", "postgres://h/d"),
        ("DATABASE_URL", "sqlite://data/receiver.db"),
        ("DATABASE_URL", "sqlite:///"),
        ("DATABASE_URL", "sqlite:///:memory:"),
        ("DATABASE_URL", "data/receiver.db"),
        ("SECRET_KEYS", "s" * 31),
        ("SECRET_KEYS", f"{GOOD_SECRET},short"),
        ("SECRET_KEYS", ","),
    ],
)
def test_each_fault_is_reported_alone_and_by_name(
    environment: Environment, name: str, value: str
) -> None:
    environment(**{"PROVIDER": "sandbox", name: value})
    [fault] = faults_of(ServeSettings)
    assert re.match(rf"RECEIVER_{name}\b", fault)


def test_all_faults_come_at_once(environment: Environment) -> None:
    environment(PORT="x", POLL_MIN="50", POLL_MAX="20", DATABASE_URL="postgresql://db/r")
    named = [
        re.split("[ :]", fault)[0].removeprefix("RECEIVER_") for fault in faults_of(ServeSettings)
    ]
    assert sorted(named) == ["POLL_MAX", "PORT", "PROVIDER", "SECRET_KEYS"]


def test_samsar_needs_its_key(environment: Environment) -> None:
    [fault] = faults_of(ServeSettings)
    assert "RECEIVER_SAMSAR_API_KEY" in fault
    environment(SAMSAR_API_KEY="k")
    assert load(ServeSettings).provider == "samsar"


def test_a_fault_comes_with_the_names_that_are_unknown(environment: Environment) -> None:
    environment(SAMSAR_APIKEY="k")
    with pytest.raises(SettingsError) as caught:
        load(ServeSettings)
    assert caught.value.warnings == (
        "RECEIVER_SAMSAR_APIKEY is not a setting; did you mean RECEIVER_SAMSAR_API_KEY?",
    )


def test_a_command_asks_only_for_what_it_uses(environment: Environment) -> None:
    environment(POLL_MIN="wrong", PORT="wrong")
    assert load(StoreSettings).sqlite_path is not None
    assert load(SandboxSettings).samsar_api_key is None
    assert [fault.split()[0] for fault in faults_of(ClientSettings)] == [
        "RECEIVER_PORT",
        "RECEIVER_API_KEY",
    ]


def test_faults_and_settings_never_show_a_secret(environment: Environment) -> None:
    environment(
        SAMSAR_API_KEY="hush hush",
        SECRET_KEYS="hush-too-short",
        DATABASE_URL="postgres://me:hush@db/r",
        SAMSAR_BASE_URL="https://me:hush@api.example/",
    )
    faults = faults_of(ServeSettings)
    assert len(faults) == 4
    assert "hush" not in "\n".join(faults)
    settings = serve(
        samsar_api_key="hush",
        samsar_base_url="https://api.example",
        secret_keys="hush" * 8,
        database_url="postgresql://me:hush@db/r",
    )
    assert "hush" not in repr(settings)


def test_every_secret_is_known_as_one() -> None:
    settings = serve(
        database_url="postgresql://me:hush-1@db/r",
        secret_keys=f"{'a' * 32},{'b' * 32}",
        samsar_api_key="hush-2",
        replicate_api_token="hush-3",
        replicate_webhook_secret="whsec_aHVzaC00",
        fal_key="hush-5",
    )
    hidden = ["hush-1", "hush-2", "hush-3", "whsec_aHVzaC00", "hush-5", "a" * 32, "b" * 32]
    assert sorted(settings.secrets()) == sorted(hidden)


def test_unknown_names_are_warned_about(environment: Environment) -> None:
    Path(".env").write_text("RECEIVER_POL_MIN=3\nUNRELATED=1\n")
    environment(ZZZ="1")
    assert load(StoreSettings).warnings() == [
        "RECEIVER_POL_MIN is not a setting; did you mean RECEIVER_POLL_MIN?",
        "RECEIVER_ZZZ is not a setting",
    ]


@pytest.mark.parametrize("public_url", ["", "http://0.0.0.0:8000", "http://localhost"])
def test_an_address_out_of_the_providers_reach_is_warned_about(
    environment: Environment, public_url: str
) -> None:
    environment(SAMSAR_API_KEY="k", PUBLIC_URL=public_url)
    [warning] = load(ServeSettings).warnings()
    assert "RECEIVER_PUBLIC_URL" in warning
    assert load(ServeSettings, samsar_base_url="http://127.0.0.1:9/").warnings() == []
    assert load(ServeSettings, public_url="https://jobs.example.com").warnings() == []
    assert load(ServeSettings, provider="sandbox").warnings() == []


def test_this_machine() -> None:
    for url in ("http://127.8.8.8", "http://[::1]:80/", "http://[::]", "http://a.localhost"):
        assert is_this_machine(url)
    for url in ("http://10.0.0.1", "https://localhost.example", "http://[fd00::1]"):
        assert not is_this_machine(url)


@pytest.mark.parametrize("kind", KINDS)
def test_every_setting_says_what_it_means(kind: type[ServeSettings]) -> None:
    assert all(field.description for field in kind.model_fields.values())


def test_every_provider_needs_its_key(environment: Environment) -> None:
    environment(PROVIDER="replicate", PROVIDERS="samsar, fal ,nobody")
    assert len(faults_of(ServeSettings)) == 2
    environment(PROVIDERS="samsar, fal")
    first, second = faults_of(ServeSettings)
    assert "RECEIVER_REPLICATE_API_TOKEN" in first
    assert "RECEIVER_SAMSAR_API_KEY" in second
    environment(REPLICATE_API_TOKEN="r8_x", SAMSAR_API_KEY="k", FAL_KEY="f")
    settings = load(ServeSettings)
    assert settings.running == ("replicate", "samsar", "fal")
    assert len(settings.warnings()) == 1, "providers elsewhere cannot reach this machine"
    environment(PROVIDER="sandbox-fal", PROVIDERS="sandbox-fal,sandbox")
    assert load(ServeSettings).running == ("sandbox-fal", "sandbox")
    assert load(ServeSettings).warnings() == []


@pytest.mark.parametrize("secret", ["c2VjcmV0", "whsec_", "whsec_no base64", ","])
def test_a_webhook_secret_that_cannot_be_read_is_refused(
    environment: Environment, secret: str
) -> None:
    environment(PROVIDER="sandbox", REPLICATE_WEBHOOK_SECRET=secret)
    (fault,) = faults_of(ServeSettings)
    assert fault.startswith("RECEIVER_REPLICATE_WEBHOOK_SECRET cannot be used")
    assert "base64" not in fault.partition(":")[0]


def test_webhook_secrets_are_a_list(environment: Environment) -> None:
    environment(PROVIDER="sandbox", REPLICATE_WEBHOOK_SECRET="whsec_c2VjcmV0, whsec_b2xk")
    secrets = load(ServeSettings).replicate_webhook_secret
    assert secrets is not None
    assert [each.get_secret_value() for each in secrets] == ["whsec_c2VjcmV0", "whsec_b2xk"]
