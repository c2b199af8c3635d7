"""Whether the seal address of a storage provider can pay a seal, asked as seldom as can be."""

from __future__ import annotations

from collections.abc import Callable

from greenray.actors.chain_view.provider_book import ProviderBook
from greenray.chain.dialect import Coin
from greenray.chain.ports import ChainClient
from greenray.protocol.errors import SealAccountWithoutFunds
from greenray.protocol.seal_funds import believed_for_s, seals_left


class SealFunds:
    """Of any storage provider. ``cost``: of one seal."""

    def __init__(
        self, chain: ChainClient, providers: ProviderBook, cost: Coin, clock: Callable[[], float]
    ) -> None:
        self._chain = chain
        self._providers = providers
        self._cost = cost
        self._clock = clock
        self._pays_until: dict[str, float] = {}

    async def check(self, sp_address: str) -> None:
        """Raises: SealAccountWithoutFunds, UnknownStorageProvider, ChainError."""
        now = self._clock()
        if now < self._pays_until.get(sp_address, 0.0):
            return
        provider = await self._providers.get(sp_address)
        balance = await self._chain.balance(provider.seal_address)
        left = seals_left(balance, self._cost.amount)
        if left < 1:
            raise without_funds(sp_address, provider.seal_address, balance, self._cost)
        self._pays_until[sp_address] = now + believed_for_s(left)


def without_funds(
    sp_address: str, seal_address: str, balance: int, cost: Coin
) -> SealAccountWithoutFunds:
    return SealAccountWithoutFunds(
        f"the seal address {seal_address} of {sp_address} has {balance} {cost.denom} wei, a seal "
        f"costs {cost.amount}: the storage provider cannot seal",
        f"storage provider {sp_address}",
        f"Send {cost.denom} to {seal_address}; what waits for it goes on by itself",
    )
