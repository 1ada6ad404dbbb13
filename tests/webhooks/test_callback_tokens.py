"""Tokens in callback URLs: altering any character makes one invalid."""

import string
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from receiver.signed_text import CallbackTokens

OLD, NEW, OTHER = "o" * 32, "n" * 32, "x" * 32
JOB = "job_01HZX3J9V5T8Q2W4E6R7Y0KMNP"
TOKENS = CallbackTokens([NEW, OLD])
TOKEN = TOKENS.sign("samsar", JOB)

URL_SAFE = string.ascii_letters + string.digits + "-_."
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=120)  # surrogates too
POSITIONS = st.integers(0, len(TOKEN) - 1)


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


@pytest.mark.parametrize(
    "provider", ["sandbox", "Samsar", "samsa", "samsars", "", "samsar/", "s\u00e4msar", "\ud800"]
)
def test_a_token_is_bad_for_another_provider(provider: str) -> None:
    assert_bad(TOKEN, provider)


def test_a_token_cannot_move_between_the_provider_and_the_job() -> None:
    assert_bad(f"{JOB[3:]}.{TOKEN.rpartition('.')[2]}", f"samsar/{JOB[:3]}")
    assert_bad(TOKENS.sign("sam", f"sar{JOB}"))


@given(POSITIONS, st.sampled_from(URL_SAFE))
def test_a_replaced_character(position: int, character: str) -> None:
    assume(TOKEN[position] != character)
    assert_bad(TOKEN[:position] + character + TOKEN[position + 1 :])


def test_every_last_character() -> None:
    """The last one has two bits that lenient base64 ignores."""
    verified = [c for c in URL_SAFE if TOKENS.verify("samsar", TOKEN[:-1] + c)]
    assert verified == [TOKEN[-1]]


@given(st.integers(0, len(TOKEN)), st.characters(exclude_categories=()))
def test_an_inserted_character(position: int, character: str) -> None:
    assert_bad(TOKEN[:position] + character + TOKEN[position:])


@given(POSITIONS)
def test_a_missing_character_and_a_changed_case(position: int) -> None:
    assert_bad(TOKEN[:position] + TOKEN[position + 1 :])
    swapped = TOKEN[:position] + TOKEN[position].swapcase() + TOKEN[position + 1 :]
    assume(swapped != TOKEN)
    assert_bad(swapped)


@pytest.mark.parametrize(
    "token",
    [
        *("", ".", JOB, f"{JOB}."),
        *(TOKEN + end for end in ("=", "==", "\n", "\x00", "\u00e9")),
        *(" " + TOKEN, "/" + TOKEN, TOKEN.upper(), TOKEN.lower(), TOKEN * 2),
        "a" * 10_000_000,
        "\ud800" * 100,
        "\u212aey",  # lower-cases into ASCII
    ],
)
def test_malformed_tokens(token: str) -> None:
    assert_bad(token)


@given(ANY_TEXT, ANY_TEXT)
def test_no_text_raises(provider: str, token: str) -> None:
    assert_bad(token, provider)
    assert_bad(token)
