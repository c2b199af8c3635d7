"""Amounts of BNB: people write them in BNB, the chain in its smallest unit (10**-18 BNB, wei)."""

from __future__ import annotations

import re

from greenray.protocol.errors import InvalidInput

_DECIMALS = 18
WEI_PER_BNB = 1_000_000_000_000_000_000
_MAX_BNB_DIGITS = 30
_AMOUNT = re.compile(
    rf"([0-9]{{1,{_MAX_BNB_DIGITS}}})(?:\.([0-9]{{1,{_DECIMALS}}}))?(?: ?BNB)?", re.IGNORECASE
)


def parse_bnb(text: str) -> int:
    """``1.5`` or ``1.5 BNB`` in wei; always positive. Raises InvalidInput."""
    match = _AMOUNT.fullmatch(text) if text.isascii() else None
    if match is None:
        raise InvalidInput(
            "this is not an amount of BNB", f"{text[:60]!r}", "Write it like 10 or 0.25"
        )
    whole, fraction = match.groups(default="")
    amount: int = int(whole) * WEI_PER_BNB + int(fraction.ljust(_DECIMALS, "0"))
    if amount == 0:
        raise InvalidInput("an amount is more than nothing", f"{text[:60]!r}", "Write it like 0.25")
    return amount


def bnb_text(amount: int) -> str:
    """An amount in wei as people read it, with all of its digits: ``1.5 BNB``."""
    whole, fraction = divmod(amount, WEI_PER_BNB)
    digits = f"{fraction:0{_DECIMALS}d}".rstrip("0")
    return f"{whole}.{digits} BNB" if digits else f"{whole} BNB"
