"""The bank's MsgSend."""

from __future__ import annotations

from typing import Any

from greenray.chain import wire
from greenray.chain.addresses import parse_address
from greenray.chain.dialects import v0_2 as dialect
from greenray.chain.local.ledger.bank import send_coins
from greenray.chain.local.ledger.context import Context


def send(context: Context, message: dialect.MsgSend) -> Any:
    """Raises ChainFault (sdk/5)."""
    coins = [(coin.denom, coin.amount) for coin in message.amount]
    sender, receiver = parse_address(message.from_address), parse_address(message.to_address)
    send_coins(context, sender, receiver, coins)
    return wire.bank.MsgSendResponse()
