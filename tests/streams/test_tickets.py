"""Stream tickets: signed, and valid for a limited time. tests/webhooks/test_callback_tokens.py
tests forged signatures and several keys, since both share the signer."""

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from itsdangerous import URLSafeSerializer

from receiver.signed_text import CallbackTokens
from receiver.streams.tickets import Ticket, Tickets

OLD, NEW = "o" * 32, "n" * 32
NOW = 1_767_323_045_678
TICKET = Ticket(7, "0f" * 32, "job_01HZX3J9V5T8Q2W4E6R7Y0KMNP", NOW + 3_600_000)
TICKETS = Tickets([NEW, OLD])
TEXT = TICKETS.issue(TICKET)


@given(
    st.builds(
        Ticket,
        st.integers(1, 2**63 - 1),
        st.text("0123456789abcdef", min_size=64, max_size=64),
        st.none() | st.just(TICKET.request_id),
        st.integers(NOW + 1, 2**53),
    )
)
def test_an_issued_ticket_is_read(ticket: Ticket) -> None:
    text = TICKETS.issue(ticket)
    assert TICKETS.read(text, NOW) == ticket
    assert quote(text, safe="") == text


def test_a_ticket_expires() -> None:
    assert TICKETS.read(TEXT, TICKET.expires_at - 1) == TICKET
    assert TICKETS.read(TEXT, TICKET.expires_at) is None


OTHER_PAYLOADS: list[Any] = [None, {}, [], [7, "0f", None], ["7", "0f", None, NOW + 1]]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(TEXT[1:], id="altered"),
        pytest.param(CallbackTokens([NEW]).sign("samsar", "job_1"), id="a callback's token"),
        pytest.param(
            URLSafeSerializer(NEW, salt="other").dumps([7, "0f", None, NOW + 1]), id="another salt"
        ),
        *map(TICKETS._payloads.sign, OTHER_PAYLOADS),
    ],
)
def test_invalid_tickets(text: str) -> None:
    assert TICKETS.read(text, NOW) is None
