"""Who may have a stream open at this node, or a message on its way from it. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class StreamPlaces:
    """So many at a time in all, so many of one peer. Strangers, who stand for no SP, have fewer
    each and share half of them, so that any number of strangers leaves room for the others."""

    in_all: int
    of_one_peer: int
    of_one_stranger: int
    _held: Counter[str] = field(default_factory=Counter)
    _strangers: int = 0

    def take(self, peer_id: str, *, is_known: bool) -> bool:
        """Whether there was one. It is given back with the same ``is_known``."""
        most = self.of_one_peer if is_known else self.of_one_stranger
        if self._held[peer_id] >= most or self._held.total() >= self.in_all:
            return False
        if not is_known and self._strangers >= self.in_all // 2:
            return False
        self._held[peer_id] += 1
        self._strangers += not is_known
        return True

    def give_back(self, peer_id: str, *, is_known: bool) -> None:
        self._held[peer_id] -= 1
        if not self._held[peer_id]:
            del self._held[peer_id]
        self._strangers -= not is_known
