"""Coins: transfers and their events; the bank's MsgSend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from greenray.chain import wire
from greenray.chain.local.addresses import address_text, parse_address
from greenray.chain.local.events import event
from greenray.chain.local.faults import sdk
from greenray.chain.local.ledger import Context, ensure_account, get_balance, put_balance

Coin = tuple[str, int]


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


def send(context: Context, message: Any) -> Any:
    """bank MsgSend."""
    coins = [(coin.denom, int(coin.amount)) for coin in message.amount]
    sender, receiver = parse_address(message.from_address), parse_address(message.to_address)
    send_coins(context, sender, receiver, coins)
    return wire.bank.MsgSendResponse()
