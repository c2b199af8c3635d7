"""How often a peer may speak. Pure: the time is given."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from greenray.protocol.peers import (
    PING_PROTOCOL,
    PONG_PROTOCOL,
    REQUEST_PROTOCOL,
    RESPONSE_PROTOCOL,
)

_REMEMBERED = 1024
_STRANGERS = ""


@dataclass(frozen=True, slots=True)
class Rate:
    """``per_s`` for as long as one likes, and ``burst`` at once."""

    per_s: float
    burst: float


RATES = {
    PING_PROTOCOL: Rate(2.0, 64.0),
    PONG_PROTOCOL: Rate(2.0, 64.0),
    REQUEST_PROTOCOL: Rate(50.0, 256.0),
    RESPONSE_PROTOCOL: Rate(200.0, 2048.0),
}
"""Of one peer. One with many SPs pings for each of them, and answers for each of them."""


@dataclass(slots=True)
class MessageRates:
    """Remembers as many peers as it needs, and no more than a bound; strangers, whose keys cost
    nothing, also have one rate together."""

    _left: OrderedDict[tuple[str, str], tuple[float, float]] = field(default_factory=OrderedDict)

    def allows(self, peer_id: str, protocol: str, now_s: float, *, is_known: bool) -> bool:
        """Whether this message is not one too many; it counts."""
        allowed = self._take(peer_id, protocol, now_s)
        if allowed and not is_known:
            allowed = self._take(_STRANGERS, protocol, now_s)
        while len(self._left) > _REMEMBERED:
            self._left.popitem(last=False)
        return allowed

    def _take(self, whose: str, protocol: str, now_s: float) -> bool:
        rate = RATES[protocol]
        left, at_s = self._left.pop((whose, protocol), (rate.burst, now_s))
        left = min(rate.burst, left + max(0.0, now_s - at_s) * rate.per_s)
        allowed = left >= 1.0
        self._left[whose, protocol] = (left - allowed, now_s)
        return allowed
