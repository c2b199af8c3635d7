"""Amounts of BNB as people write them and as the chain counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenray.protocol.coins import WEI_PER_BNB, bnb_text, parse_bnb
from greenray.protocol.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("10", 10 * WEI_PER_BNB),
        ("0.25", WEI_PER_BNB // 4),
        ("1 BNB", WEI_PER_BNB),
        ("1bnb", WEI_PER_BNB),
        ("0.000000000000000001", 1),
        ("007", 7 * WEI_PER_BNB),
    ],
)
def test_an_amount_is_read_as_people_write_it(text: str, amount: int) -> None:
    assert parse_bnb(text) == amount


@pytest.mark.parametrize(
    "text",
    ["", "0", "0.0", "-1", "+1", "1e3", "1.", ".5", "1,5", f"1.{0:018}1", "1 ETH", "٣", "9" * 31],
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_bnb(text)
    assert "0.25" in refused.value.next_step


@given(st.integers(min_value=1, max_value=10**40))
def test_what_is_shown_is_read_as_the_same_amount(amount: int) -> None:
    assert parse_bnb(bnb_text(amount)) == amount
