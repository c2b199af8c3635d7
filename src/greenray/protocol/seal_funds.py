"""How far the coins of a seal address go. Pure; amounts in the smallest unit of a coin."""

from __future__ import annotations

SEALS_PER_S = 300
"""More than a chain takes from one address (protocol 04 §12)."""
LOW_BELOW_SEALS = 1000
"""With fewer left, an operator should know before it is none."""
_LONGEST_S = 60.0
_SHORTEST_S = 1.0


def seals_left(balance: int, fee: int) -> int:
    """How many seals an address with ``balance`` can pay, at ``fee`` each."""
    return balance // fee if fee > 0 else LOW_BELOW_SEALS


def believed_for_s(seals: int) -> float:
    """How long an address that could pay so many seals surely can pay one."""
    return min(_LONGEST_S, max(_SHORTEST_S, seals / SEALS_PER_S))
