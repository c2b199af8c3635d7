"""Runs a message by its dialect's rule, and puts around it what the node does (protocol 04 §8)."""

from __future__ import annotations

from typing import Any

from greenray.chain import wire
from greenray.chain.addresses import address_text, parse_address
from greenray.chain.dialect import Message
from greenray.chain.local.ledger.context import Context
from greenray.chain.local.ledger.events import event
from greenray.chain.local.ledger.faults import ChainFault


def run_message(context: Context, type_url: str, message: Message) -> Any:
    """Run a message; its ``message`` event comes first. The response is an Any.

    Raises:
        ChainFault: worded with the index of the message, as the node does.
        NilPointer: where the recorded node panics.
    """
    local_dialect = context.rules.local_dialect
    rule = local_dialect.messages[type_url]
    sender = address_text(parse_address(local_dialect.dialect.signer_address(message)))
    context.emit(event("message", action=type_url, sender=sender, module=rule.module))
    try:
        response = rule.run(context, message)
    except ChainFault as error:
        text = f"failed to execute message; message index: 0: {error.log}"
        raise ChainFault(error.codespace, error.code, text) from error
    return wire.protobuf.Any(
        type_url=f"/{response.DESCRIPTOR.full_name}", value=response.SerializeToString()
    )
