"""Watches what the hosted storage providers seal with: an operator is told before a seal address is
empty, and when it is."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from greenray.actors import names
from greenray.chain.dialect import Coin
from greenray.client.network_file import SealAccount
from greenray.protocol.seal_funds import LOW_BELOW_SEALS, seals_left
from greenray.seam.finder import Finder

log = logging.getLogger(__name__)


async def low_seal_accounts(
    finder: Finder, hosted: Iterable[str], cost: Coin
) -> tuple[SealAccount, ...]:
    """Those that can pay only a few seals more, at ``cost`` each. Raises ChainError."""
    chain = finder.find(names.CHAIN)
    seal_addresses = {p.operator_address: p.seal_address for p in await chain.storage_providers()}
    low = []
    for sp_address in hosted:
        address = seal_addresses.get(sp_address, "")
        if not address:
            continue
        balance = await chain.balance(address)
        left = seals_left(balance, cost.amount)
        if left < LOW_BELOW_SEALS:
            low.append(SealAccount(sp_address, address, f"{balance}{cost.denom}", left))
    return tuple(low)


def tell(before: Iterable[SealAccount], now: Iterable[SealAccount]) -> None:
    """Log what is new: once for each account that is low, that is empty, and that is funded."""
    known = {account.seal_address: account for account in before}
    for account in now:
        earlier = known.pop(account.seal_address, None)
        if account.seals_left == 0 and (earlier is None or earlier.seals_left > 0):
            log.error("%s; send it coins: it accepts no objects and seals none until then", account)
        elif earlier is None:
            log.warning("%s", account)
    for account in known.values():
        log.warning("seal address %s has been funded", account.seal_address)
