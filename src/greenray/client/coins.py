"""Coins of a user: what an address has, and sending them to another."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from greenray.chain.addresses import address_problem, address_text, parse_address
from greenray.chain.crypto import address_of
from greenray.chain.rpc.client import RpcChainClient
from greenray.chain.transactions.user import TransactionSender
from greenray.client.access import Access
from greenray.client.user import access_chain, access_key
from greenray.protocol.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class CoinTransfer:
    """Coins that were sent; amounts in wei. ``balance``: what the receiver has now."""

    sender: str
    receiver: str
    amount: int
    balance: int
    tx_hash: str
    height: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"amount": str(self.amount), "balance": str(self.balance)}


async def send_coins(access: Access, receiver: str, amount: int) -> CoinTransfer:
    """Send ``amount`` wei of the user that ``access`` names.

    Raises: InvalidInput (not an address), KeyMissing, KeystoreError, InsufficientFunds,
        NoSuchAccount, TransactionRefused, TransactionFailed, ChainError.
    """
    receiver = _checked(receiver)
    key = access_key(access)
    async with access_chain(access) as chain:
        return await sent_coins(chain, key, receiver, amount)


async def sent_coins(chain: RpcChainClient, key: bytes, receiver: str, amount: int) -> CoinTransfer:
    """``send_coins`` of the account of ``key`` to the valid address ``receiver``."""
    sender = TransactionSender(chain, chain.dialect, key)
    try:
        result = await sender.send_coins(receiver, amount)
        balance = await chain.balance(receiver)
    finally:
        await sender.close()
    return CoinTransfer(sender.address, receiver, amount, balance, result.tx_hash, result.height)


async def balance_of(access: Access, address: str | None) -> tuple[str, int]:
    """An address, else the user's own, and what it has, in wei. Raises as ``send_coins``."""
    known = _checked(address) if address else address_of(access_key(access))
    async with access_chain(access) as chain:
        return known, await chain.balance(known)


def _checked(address: str) -> str:
    problem = address_problem(address)
    if problem is not None:
        raise InvalidInput(
            f"this is not an address: {problem}",
            f"{address[:80]!r}",
            "Give 0x and 40 hexadecimal digits, as greenray keys show prints them",
        )
    return address_text(parse_address(address))
