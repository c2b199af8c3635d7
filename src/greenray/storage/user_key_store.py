"""The journal as a Gateway sees it that knows accounts' browser keys."""

from __future__ import annotations

from typing import Protocol

from greenray.protocol.user_keys import UserKey
from greenray.seam.travel import grouped


class UserKeyStore(Protocol):
    """A part of the journal. Every call returns after its commit is durable, and raises
    JournalError when it fails."""

    @grouped
    async def user_key(self, sp_address: str, account: str, domain: str) -> UserKey | None:
        """The last one that was registered, expired or not."""

    @grouped
    async def register_key(self, key: UserKey) -> None:
        """In the place of the last one of its account and domain. What was registered longer ago
        than a key may count is forgotten: what was signed for it counts no more.

        Raises: WrongNonce (not the next one), TooManyKeys; nothing has changed then.
        """
