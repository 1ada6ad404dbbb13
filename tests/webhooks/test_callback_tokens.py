"""Tokens in callback URLs: changing any character makes a token invalid."""

import string
from urllib.parse import quote

import pytest

from receiver.signed_text import CallbackTokens

OLD, NEW, OTHER = "o" * 32, "n" * 32, "x" * 32
JOB = "job_01HZX3J9V5T8Q2W4E6R7Y0KMNP"
TOKENS = CallbackTokens([NEW, OLD])
TOKEN = TOKENS.sign("samsar", JOB)

URL_SAFE = string.ascii_letters + string.digits + "-_."


def assert_bad(token: str, provider: str = "samsar", tokens: CallbackTokens = TOKENS) -> None:
    assert tokens.verify(provider, token) is None


def test_a_token_names_its_job_in_one_segment_of_a_path() -> None:
    assert TOKENS.verify("samsar", TOKEN) == JOB
    assert TOKEN.startswith(f"{JOB}.")
    assert quote(TOKEN, safe="") == TOKEN
    assert len(TOKEN) == 30 + 1 + 43


def test_the_newest_key_signs_and_all_verify() -> None:
    old, new = CallbackTokens([OLD]), CallbackTokens([NEW])
    assert TOKENS.verify("samsar", old.sign("samsar", JOB)) == JOB
    assert new.verify("samsar", TOKEN) == JOB
    assert_bad(TOKEN, tokens=old)
    assert_bad(TOKEN, tokens=CallbackTokens([OTHER]))
    with pytest.raises(ValueError, match="key"):
        CallbackTokens([])


def test_a_token_is_bad_for_another_provider() -> None:
    for provider in (
        "sandbox",
        "Samsar",
        "samsa",
        "samsars",
        "",
        "samsar/",
        "s\u00e4msar",
        "\ud800",
    ):
        assert_bad(TOKEN, provider)
    # Nor can a part of it move between the provider and the job.
    assert_bad(f"{JOB[3:]}.{TOKEN.rpartition('.')[2]}", f"samsar/{JOB[:3]}")
    assert_bad(TOKENS.sign("sam", f"sar{JOB}"))


def test_every_character_counts() -> None:
    """The last character has two bits that lenient base64 ignores."""
    for at, character in enumerate(TOKEN):
        for other in {"", *URL_SAFE} - {character}:
            assert_bad(TOKEN[:at] + other + TOKEN[at + 1 :])
        for inserted in ("A", "-", " ", "\n", "\u00e9"):
            assert_bad(TOKEN[:at] + inserted + TOKEN[at:])


def test_malformed_tokens() -> None:
    for token in (
        *("", ".", JOB, f"{JOB}.", TOKEN + "==", TOKEN.upper(), TOKEN.lower(), TOKEN * 2),
        "a" * 10_000_000,
        "\ud800" * 100,
        "\u212aey",  # lower-cases into ASCII
    ):
        assert_bad(token)
