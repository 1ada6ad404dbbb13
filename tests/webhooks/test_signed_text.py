"""Tokens in callback URLs: changing any character makes a token invalid."""

import string
from urllib.parse import quote

import pytest

from receiver.signed_text import Purpose, Signer

OLD, NEW, OTHER = "o" * 32, "n" * 32, "x" * 32
JOB = "job_01HZX3J9V5T8Q2W4E6R7Y0KMNP"
SIGNER = Signer([NEW, OLD])

URL_SAFE = string.ascii_letters + string.digits + "-_."


def sign(provider: str, job_id: str, signer: Signer = SIGNER) -> str:
    """The token that follows the provider in a callback's path."""
    path = signer.sign(Purpose.CALLBACK, f"{provider}/{job_id}")
    return path.removeprefix(f"{provider}/")


TOKEN = sign("samsar", JOB)


def assert_bad(token: str, provider: str = "samsar", signer: Signer = SIGNER) -> None:
    assert signer.verify(Purpose.CALLBACK, f"{provider}/{token}") is None


def assert_good(token: str, signer: Signer = SIGNER) -> None:
    assert signer.verify(Purpose.CALLBACK, f"samsar/{token}") == f"samsar/{JOB}"


def test_a_token_names_its_job_in_one_segment_of_a_path() -> None:
    assert_good(TOKEN)
    assert TOKEN.startswith(f"{JOB}.")
    assert quote(TOKEN, safe="") == TOKEN
    assert len(TOKEN) == 30 + 1 + 43


def test_the_newest_key_signs_and_all_verify() -> None:
    old, new = Signer([OLD]), Signer([NEW])
    assert_good(sign("samsar", JOB, old))
    assert_good(TOKEN, new)
    assert_bad(TOKEN, signer=old)
    assert_bad(TOKEN, signer=Signer([OTHER]))
    with pytest.raises(ValueError, match="key"):
        Signer([])


@pytest.mark.parametrize("purpose", [each for each in Purpose if each is not Purpose.CALLBACK])
def test_what_was_signed_for_another_purpose_is_bad(purpose: Purpose) -> None:
    assert_bad(SIGNER.sign(purpose, f"samsar/{JOB}").removeprefix("samsar/"))


@pytest.mark.parametrize(
    ("purpose", "signature"),
    [
        (Purpose.TICKET, "ZE06sUl9futFMqWBWkbhN-Eo6hGurX-ZlZ30Nqbc4WM"),
        (Purpose.SESSION, "NW-Lg9mIySoIzNhKro1wc0rvjzFefIccsz6rf2kWG4s"),
        (Purpose.CURSOR, "sYuakJ77YczMC2PD1vBo9KKhDhfZBl197Epi9FuWPro"),
    ],
)
def test_replicas_of_release_2_sign_the_same(purpose: Purpose, signature: str) -> None:
    """They run beside this one during an upgrade."""
    assert TOKEN.rpartition(".")[2] == "QgvF-b06hdjm5UcpOi3WPQDinsLBQmW9Y50rbzXpGXc"
    text = f"WyJqb2JzIiwxLG51bGxd.{signature}"
    assert SIGNER.dump(purpose, ["jobs", 1, None]) == text
    assert SIGNER.load(purpose, text) == ["jobs", 1, None]


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
    assert_bad(sign("sam", f"sar{JOB}"))


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
