"""Settings from the environment: values, defaults, errors and warnings."""

import re
import subprocess
import sys
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path

import pytest
from pydantic import SecretStr

from receiver.app import signing_keys
from receiver.config.environment import SettingsError, load
from receiver.config.settings import (
    AddressSettings,
    ClientSettings,
    SandboxSettings,
    StoreSettings,
)
from receiver.config.values import Rate
from receiver.net.this_machine import is_this_machine
from receiver.providers.settings import ServiceSettings, with_providers

Service = with_providers(ServiceSettings)

GOOD_SECRET = "s" * 32

Environment = Callable[..., None]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Environment:
    """Sets RECEIVER_ variables, by name without the prefix, in an empty working folder."""
    monkeypatch.chdir(tmp_path)

    def put(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(f"RECEIVER_{name}", value)

    return put


def serve(**given: object) -> ServiceSettings:
    return load(Service, **{"provider": "sandbox", **given})


def errors_of(kind: type[ServiceSettings | ClientSettings | StoreSettings]) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load(kind)
    assert str(caught.value) == "\n".join(caught.value.faults)
    return caught.value.faults


VALUES: dict[str, tuple[str, object]] = {
    "RELAY_SCHEDULE": ("0, 0.5,2", (0, 0.5, 2)),
    "RELAY_ALLOW_NETS": ("127.0.0.0/8,::1", (ip_network("127.0.0.0/8"), ip_network("::1/128"))),
    "CORS_ORIGINS": ("https://a.example,http://b:8080", ("https://a.example", "http://b:8080")),
    "JOBS_IN_FLIGHT": ("fal=2, sandbox = 10", {"fal": 2, "sandbox": 10}),
    "RATE_LIMIT": ("5/hour", Rate(5, 3600)),
    "IMAGE_MODELS": ("A,B", ("A", "B")),
    "PUBLIC_URL": ("https://jobs.example.com/base/", "https://jobs.example.com/base"),
    "SAMSAR_BASE_URL": ("http://127.0.0.1:9/v1/video", "http://127.0.0.1:9/v1/video/"),
    "CONFIRM_CALLBACKS": ("false", False),
    "LOG_LEVEL": ("DEBUG", "debug"),
    "LOG_FORMAT": ("Console", "console"),
    "RETENTION_DAYS": ("0.25", 0.25),
    "PORT": ("0", 0),
    "SECRET_KEYS": (f"{GOOD_SECRET}, {'t' * 40}", (SecretStr(GOOD_SECRET), SecretStr("t" * 40))),
    "REPLICATE_WEBHOOK_SECRET": (
        "whsec_c2VjcmV0, whsec_b2xk",
        (SecretStr("whsec_c2VjcmV0"), SecretStr("whsec_b2xk")),
    ),
}
"""By name: the text, and the value."""


def test_text_becomes_values(environment: Environment) -> None:
    environment(**{name: text for name, (text, _) in VALUES.items()})
    settings = serve()
    for name, (_, value) in VALUES.items():
        assert getattr(settings, name.lower()) == value, name


def test_a_blank_value_is_unset_but_turns_a_limit_off(environment: Environment) -> None:
    environment(
        RATE_LIMIT="", USER_STORAGE="", POLL_MIN=" ", SECRET_KEYS="", CORS_ORIGINS="", PUBLIC_URL=""
    )
    settings = serve()
    assert settings.rate_limit is None
    assert settings.user_storage is None
    assert settings.poll_min == 5
    assert settings.secret_keys == ()
    assert settings.cors_origins == ()
    assert settings.public_url == "http://127.0.0.1:8000"


def test_the_environment_takes_precedence_over_dotenv(environment: Environment) -> None:
    Path(".env").write_text("RECEIVER_PORT=1111\nRECEIVER_HOST=10.0.0.9\nOTHER=1\n")
    environment(PORT="2222")
    settings = load(AddressSettings)
    assert (settings.host, settings.port) == ("10.0.0.9", 2222)
    assert load(AddressSettings, port=3333).port == 3333


def test_a_binary_dotenv_is_an_error() -> None:
    Path(".env").write_bytes(b"RECEIVER_PORT=\xff\n")
    [fault] = errors_of(StoreSettings)
    assert fault.startswith(".env cannot be read")


def test_the_public_url_follows_the_bound_port() -> None:
    settings = load(AddressSettings, port=0, host="::1")
    assert settings.with_port(4711).public_url == "http://[::1]:4711"
    fixed = load(AddressSettings, port=0, public_url="https://jobs.example.com")
    assert fixed.with_port(4711).public_url == "https://jobs.example.com"
    assert fixed.with_port(4711).port == 4711


def test_the_client_s_url_defaults_to_the_public_url(environment: Environment) -> None:
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


def test_files_beside_the_database_are_the_same_for_every_link_to_it(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "folder").symlink_to("kept")
    (tmp_path / "link.db").symlink_to("kept/r.db")
    paths = ("kept/r.db", "folder/r.db", "link.db", f"/{tmp_path}/link.db")
    found = [serve(database_url=f"sqlite:///{path}") for path in paths]
    first = signing_keys(found[0])
    assert all(signing_keys(each) == first for each in found)
    assert [path.name for path in tmp_path.rglob("*.keys")] == ["r.db.keys"]
    assert (tmp_path / "kept" / "r.db.keys").is_file()


FAULTY: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("SUBMIT_WAIT", "SUBMIT_TIMEOUT", "CONFIRM_TIMEOUT", "POLL_FIRST"), ("0",)),
    **dict.fromkeys(("POLL_MIN", "POLL_MAX", "SUBMIT_CONCURRENCY", "STREAM_MAX_PER_KEY"), ("0",)),
    **dict.fromkeys(("MAX_BODY_BYTES", "ARCHIVE_MAX_BYTES"), ("0",)),
    **dict.fromkeys(("RELAY_TIMEOUT", "STREAM_HEARTBEAT", "RETENTION_DAYS"), ("nan",)),
    "POLL_RATE": ("0", "inf"),
    "POLL_CONCURRENCY": ("-1", "1.5"),
    "JOB_DEADLINE": ("-1", "inf"),
    "UNCONFIRMED_DEADLINE": ("-1",),
    "ARCHIVE_URL": (
        *("kept", "file:kept", "file://kept", "file:///", "file:///a%00b", "https://b", "s3://"),
        *("s3:///x", "s3://bucket/x?y", "s3://Bucket", "s3://bucket//x", "s3://bucket/%2F/x"),
    ),
    "SANDBOX_RENDER": ("inf",),
    "SANDBOX_DROP_CALLBACKS": ("1.1",),
    "SANDBOX_FAIL_JOBS": ("-0.1",),
    "SANDBOX_SUBMIT_TIMEOUTS": ("nan",),
    "PORT": ("65536", "-1", "http"),
    "HOST": ("127.0.0.1/8",),
    "PROVIDER": ("other",),
    "RELAY_SCHEDULE": ("0,0", "-1,5", "5,soon", ","),
    "RELAY_ALLOW_NETS": ("10.0.0.1/8", "everything"),
    "RELAY_ALLOW_HTTP": ("perhaps",),
    "RATE_LIMIT": ("600", "0/minute", "6/day"),
    "PUBLIC_URL": (
        *("jobs.example.com", "ftp://jobs.example.com", "https://jobs.example.com/?a=b"),
        *("https://jobs.example.com/#a", "https://jobs.example.com:port"),
        *("https://me:word@jobs.example.com", "https://jobs.example.com/a b"),
    ),
    "SAMSAR_BASE_URL": ("/v1/video/",),
    "SAMSAR_AUTH_HEADER": ("API KEY",),
    "SAMSAR_API_KEY": ("key\u00e9",),
    "CORS_ORIGINS": ("*", "https://a.example/", "https://A.example", "https://a.example:443"),
    "LOG_LEVEL": ("loud",),
    "LOG_FORMAT": ("xml",),
    "JOBS_IN_FLIGHT": (
        *("fal", "fal=", "fal=0", "fal=-1", "fal=1.5", "fal=2.0", "fal=1_0", "2", "fal=1,fal=2"),
        *("fal=1,", "nobody=1", "=1", "fal=2;replicate=1"),
    ),
    "QUEUE_DEADLINE": ("0", "-1"),
    "SANDBOX_PLACES": ("0", "x"),
    "DATABASE_URL": (
        *("mysql://h/d", "postgres://h/d", "sqlite://data/receiver.db", "sqlite:///"),
        *("sqlite:///:memory:", "data/receiver.db"),
    ),
    "SECRET_KEYS": ("s" * 31, f"{GOOD_SECRET},short"),
    "REPLICATE_WEBHOOK_SECRET": ("c2VjcmV0", "whsec_", "whsec_no base64"),
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in FAULTY.items() for value in values]
)
def test_each_error_is_reported_by_name(environment: Environment, name: str, value: str) -> None:
    environment(**{"PROVIDER": "sandbox", name: value})
    [fault] = errors_of(Service)
    assert re.match(rf"RECEIVER_{name}\b", fault)


def test_all_errors_are_reported_together(environment: Environment) -> None:
    environment(PORT="x", POLL_MIN="50", POLL_MAX="20", DATABASE_URL="postgresql://db/r")
    named = [re.split("[ :]", fault)[0].removeprefix("RECEIVER_") for fault in errors_of(Service)]
    assert sorted(named) == ["POLL_MAX", "PORT", "PROVIDER", "SECRET_KEYS"]


def test_a_command_needs_only_its_own_settings(environment: Environment) -> None:
    environment(POLL_MIN="wrong", PORT="wrong")
    assert load(StoreSettings).sqlite_path is not None
    assert load(SandboxSettings).sandbox_places is None
    assert [fault.split()[0] for fault in errors_of(ClientSettings)] == [
        "RECEIVER_PORT",
        "RECEIVER_API_KEY",
    ]
    environment(URL="http://h", HOST="/", PUBLIC_URL="wrong", API_KEY="rk_x")
    assert load(ClientSettings).url == "http://h"
    environment(URL=" ")
    assert load(ClientSettings, url="http://i").url == "http://i"
    assert len(errors_of(ClientSettings)) == 3


def test_errors_and_settings_never_show_a_secret(environment: Environment) -> None:
    environment(
        SAMSAR_API_KEY="hush hush",
        SECRET_KEYS="hush-too-short",
        DATABASE_URL="postgres://me:hush@db/r",
        SAMSAR_BASE_URL="https://me:hush@api.example/",
    )
    faults = errors_of(Service)
    assert len(faults) == 4
    assert "hush" not in "\n".join(faults)
    settings = serve(
        samsar_api_key="hush",
        samsar_base_url="https://api.example",
        secret_keys="hush" * 8,
        database_url="postgresql://me:hush@db/r",
    )
    assert "hush" not in repr(settings)


@pytest.mark.parametrize(
    "url",
    ["https://me:hush@h/", "https://me:hush/hush@h/", "https://me:pass@//hush@h", "me:hush@h"],
)
def test_the_error_of_a_url_shows_no_password(environment: Environment, url: str) -> None:
    environment(PROVIDER="sandbox", PUBLIC_URL=url)
    [fault] = errors_of(Service)
    assert "…@h" in fault
    assert "hush" not in fault


def test_all_secrets_are_listed() -> None:
    given = {
        "samsar_api_key": "hush-2",
        "replicate_api_token": "hush-3",
        "replicate_webhook_secret": "whsec_aHVzaC00",
        "fal_key": "hush-5",
    }
    settings = serve(secret_keys=f"{'a' * 32},{'b' * 32}", **given)
    assert sorted(settings.secrets()) == sorted([*given.values(), "a" * 32, "b" * 32])


def test_unknown_names_are_warned_about(environment: Environment) -> None:
    Path(".env").write_text("RECEIVER_POL_MIN=3\nUNRELATED=1\n")
    environment(ZZZ="1")
    assert load(StoreSettings).warnings() == [
        "RECEIVER_POL_MIN is not a setting; did you mean RECEIVER_POLL_MIN?",
        "RECEIVER_ZZZ is not a setting",
    ]


@pytest.mark.parametrize("public_url", ["", "http://0.0.0.0:8000", "http://localhost"])
def test_an_address_that_the_provider_cannot_reach_is_warned_about(
    environment: Environment, public_url: str
) -> None:
    environment(SAMSAR_API_KEY="k", PUBLIC_URL=public_url)
    [warning] = load(Service).warnings()
    assert "RECEIVER_PUBLIC_URL" in warning
    assert load(Service, samsar_base_url="http://127.0.0.1:9/").warnings() == []
    assert load(Service, public_url="https://jobs.example.com").warnings() == []
    assert load(Service, provider="sandbox").warnings() == []


def test_a_limit_of_a_provider_that_does_not_run_is_warned_about(environment: Environment) -> None:
    environment(PROVIDER="sandbox", JOBS_IN_FLIGHT="sandbox=1,fal=2")
    assert load(Service).warnings() == ["RECEIVER_JOBS_IN_FLIGHT names fal, which does not run"]


def test_this_machine() -> None:
    for host in ("127.8.8.8", "[::1]:80", "[::]", "localhost", "a.localhost", "LOCALHOST."):
        assert is_this_machine(f"http://{host}/"), host
    for host in ("127.1:9", "0:9", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "127.0.0.1."):
        assert is_this_machine(f"http://{host}/"), host
    for host in ("10.0.0.1", "localhost.example", "[fd00::1]", "[::ffff:10.0.0.1]", "1", "127.x"):
        assert not is_this_machine(f"http://{host}/"), host


def test_every_provider_needs_its_key(environment: Environment) -> None:
    [default] = errors_of(Service)
    assert "RECEIVER_SAMSAR_API_KEY" in default
    environment(PROVIDER="replicate", PROVIDERS="samsar, fal ,nobody")
    faults = errors_of(Service)
    needed = ("RECEIVER_REPLICATE_API_TOKEN", "RECEIVER_SAMSAR_API_KEY", "RECEIVER_FAL_KEY")
    assert len(faults) == 4
    assert all(name in fault for name, fault in zip(needed, faults, strict=False))
    assert faults[2] == (
        "RECEIVER_PROVIDERS is 'fal': it needs RECEIVER_FAL_KEY, which is not set"
        " (RECEIVER_PROVIDER=sandbox-fal needs none)"
    )
    assert faults[3].startswith("RECEIVER_PROVIDERS is 'nobody': Input should be 'samsar', ")
    environment(
        PROVIDERS="samsar, fal", REPLICATE_API_TOKEN="r8_x", SAMSAR_API_KEY="k", FAL_KEY="f"
    )
    settings = load(Service)
    assert settings.provider_names == ("replicate", "samsar", "fal")
    assert len(settings.warnings()) == 1, "the providers cannot reach this machine"
    environment(PROVIDER="sandbox-fal", PROVIDERS="sandbox-fal,sandbox")
    assert load(Service).provider_names == ("sandbox-fal", "sandbox")
    assert load(Service).warnings() == []


def test_every_command_knows_the_settings_of_each_provider_without_its_code(
    environment: Environment,
) -> None:
    environment(FAL_USER_ID="1", IMAGE_MODELS="A", REPLICATE_API_TOKEN="r8_x")
    code = (
        "import sys, receiver.cli.main\n"
        "from receiver.config.environment import load\n"
        "from receiver.config.settings import StoreSettings\n"
        "print(load(StoreSettings).warnings())\n"
        "print([name for name in sys.modules if name.startswith('receiver.providers.fal.')])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "['receiver.providers.fal.settings']"]
