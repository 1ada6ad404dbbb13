"""No secret is written anywhere but where it is given."""

import pytest

from tests.security import canaries


@pytest.mark.long
@pytest.mark.timeout(120)
async def test_no_canary_is_found() -> None:
    found = await canaries.search()
    assert {place: count for place, count in found.items() if count} == {}


def test_a_canary_is_found_in_every_form() -> None:
    secret = "canary-of-some-length"
    forms = canaries._forms(secret)
    for text in (secret, "Y2FuYXJ5LW9mLXNvbWUtbGVuZ3Ro", "AGNhbmFyeS1vZi1zb21lLWxlbmd0aA=="):
        assert any(form in text for form in forms)
