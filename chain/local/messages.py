"""Which code runs a message, and what the node puts around it (protocol 04 §8)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from greenray.chain import wire
from greenray.chain.dialects import v0_2 as dialect
from greenray.chain.local import bank, msg_bucket, msg_object, permission
from greenray.chain.local.addresses import address_text, parse_address
from greenray.chain.local.events import event
from greenray.chain.local.faults import ChainFault
from greenray.chain.local.ledger import Context

_HANDLERS: dict[type[dialect.Message], tuple[str, Callable[[Context, Any], Any]]] = {
    dialect.MsgSend: ("bank", bank.send),
    dialect.MsgCreateBucket: ("storage", msg_bucket.create_bucket),
    dialect.MsgCreateObject: ("storage", msg_object.create_object),
    dialect.MsgSealObject: ("storage", msg_object.seal_object),
    dialect.MsgRejectSealObject: ("storage", msg_object.reject_seal_object),
    dialect.MsgCancelCreateObject: ("storage", msg_object.cancel_create_object),
    dialect.MsgPutPolicy: ("storage", permission.put_policy),
}


def run_message(context: Context, type_url: str, message: dialect.Message) -> Any:
    """Run a message; its ``message`` event comes first. The response is an Any.

    Raises:
        ChainFault: worded with the index of the message, as the node does.
        NilPointer: where the recorded node panics.
    """
    module, handler = _HANDLERS[type(message)]
    sender = address_text(parse_address(dialect.signer_address(message)))
    context.emit(event("message", action=type_url, sender=sender, module=module))
    try:
        response = handler(context, message)
    except ChainFault as error:
        text = f"failed to execute message; message index: 0: {error.log}"
        raise ChainFault(error.codespace, error.code, text) from error
    return wire.protobuf.Any(
        type_url=f"/{response.DESCRIPTOR.full_name}", value=response.SerializeToString()
    )
