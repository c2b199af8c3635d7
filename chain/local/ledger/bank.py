"""Coins: transfers and their events."""

from __future__ import annotations

from collections.abc import Sequence

from greenray.chain.addresses import address_text, module_address
from greenray.chain.local.ledger.accounts import ensure_account, get_balance, put_balance
from greenray.chain.local.ledger.context import Context
from greenray.chain.local.ledger.events import event
from greenray.chain.local.ledger.faults import sdk

Coin = tuple[str, int]

FEE_COLLECTOR = module_address("fee_collector")
DISTRIBUTION = module_address("distribution")


def coins_text(coins: Sequence[Coin]) -> str:
    """``6000000000000BNB``; several are joined with commas."""
    return ",".join(f"{amount}{denom}" for denom, amount in coins)


def send_coins(context: Context, sender: bytes, receiver: bytes, coins: Sequence[Coin]) -> None:
    """Move coins and emit coin_spent, coin_received, transfer and message, in that order.

    Raises:
        ChainFault: sdk/5 when the sender has too little.
    """
    state = context.state
    for denom, amount in coins:
        balance = get_balance(state, sender, denom)
        if balance < amount:
            spendable = f"{balance}{denom}" if balance else ""
            raise sdk(5, f"spendable balance {spendable} is smaller than {amount}{denom}")
        put_balance(state, sender, denom, balance - amount)
    for denom, amount in coins:
        put_balance(state, receiver, denom, get_balance(state, receiver, denom) + amount)
    ensure_account(state, receiver)
    text = coins_text(coins)
    sender_text, receiver_text = address_text(sender), address_text(receiver)
    context.emit(
        event("coin_spent", spender=sender_text, amount=text),
        event("coin_received", receiver=receiver_text, amount=text),
        event("transfer", recipient=receiver_text, sender=sender_text, amount=text),
        event("message", sender=sender_text),
    )
