"""Stream tickets: signed, with an end, and not to be altered."""

import string
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from itsdangerous import URLSafeSerializer

from receiver.streams.tickets import BadTicket, ExpiredTicket, Ticket, Tickets
from receiver.webhooks.tokens import CallbackTokens

OLD, NEW = "o" * 32, "n" * 32
NOW = 1_767_323_045_678
TICKET = Ticket(7, "0f" * 32, "job_01HZX3J9V5T8Q2W4E6R7Y0KMNP", NOW + 3_600_000)
TICKETS = Tickets([NEW, OLD])
TEXT = TICKETS.issue(TICKET)

URL_SAFE = string.ascii_letters + string.digits + "-_."
POSITIONS = st.integers(0, len(TEXT) - 1)


def assert_bad(text: str, tickets: Tickets = TICKETS) -> None:
    with pytest.raises(BadTicket) as raised:
        tickets.read(text, NOW)
    assert type(raised.value) is BadTicket


@given(
    st.builds(
        Ticket,
        st.integers(1, 2**63 - 1),
        st.text("0123456789abcdef", min_size=64, max_size=64),
        st.none() | st.just(TICKET.request_id),
        st.integers(NOW + 1, 2**53),
    )
)
def test_what_is_issued_is_read(ticket: Ticket) -> None:
    text = TICKETS.issue(ticket)
    assert TICKETS.read(text, NOW) == ticket
    assert quote(text, safe="") == text


def test_a_ticket_ends_at_its_end() -> None:
    assert TICKETS.read(TEXT, TICKET.expires_at - 1) == TICKET
    with pytest.raises(ExpiredTicket):
        TICKETS.read(TEXT, TICKET.expires_at)


def test_the_newest_key_signs_and_all_verify() -> None:
    assert TICKETS.read(Tickets([OLD]).issue(TICKET), NOW) == TICKET
    assert Tickets([NEW]).read(TEXT, NOW) == TICKET
    assert_bad(TEXT, Tickets([OLD]))
    with pytest.raises(ValueError, match="key"):
        Tickets([])


@given(POSITIONS, st.sampled_from(URL_SAFE))
def test_a_replaced_character(position: int, character: str) -> None:
    assume(TEXT[position] != character)
    assert_bad(TEXT[:position] + character + TEXT[position + 1 :])


@given(st.integers(0, len(TEXT)), st.characters(exclude_categories=()))
def test_an_inserted_character(position: int, character: str) -> None:
    assert_bad(TEXT[:position] + character + TEXT[position:])


@given(POSITIONS)
def test_a_missing_character(position: int) -> None:
    assert_bad(TEXT[:position] + TEXT[position + 1 :])


def test_every_last_character() -> None:
    """The last one has two bits that lenient base64 ignores."""
    for character in set(URL_SAFE) - {TEXT[-1]}:
        assert_bad(TEXT[:-1] + character)


@given(st.text(st.characters(exclude_categories=()), max_size=120))
def test_no_text_raises_anything_but_bad_ticket(text: str) -> None:
    assert_bad(text)


def test_what_our_keys_signed_for_other_purposes_is_bad() -> None:
    assert_bad(CallbackTokens([NEW]).sign("samsar", "job_1"))
    assert_bad(URLSafeSerializer(NEW, salt="other").dumps([7, "0f", None, NOW + 1]))
    assert_bad("a" * 10_000_000)


@pytest.mark.parametrize("payload", [None, {}, [], [7, "0f", None], ["7", "0f", None, NOW + 1]])
def test_a_payload_of_another_version_is_bad(payload: object) -> None:
    assert_bad(TICKETS._texts.sign(payload))
