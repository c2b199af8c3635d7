"""Committed transactions as GetTx shows them (protocol 04 §7.5, 05 §5)."""

from __future__ import annotations

import json
from typing import Any

from greenray.chain import wire
from greenray.chain.local import blocks
from greenray.chain.local.ledger.events import Event
from greenray.chain.local.ledger.state import StoredTransaction
from greenray.chain.local.tx_result import TxResult


def get_tx_response(stored: StoredTransaction, block: Any) -> Any:
    """cosmos.tx.v1beta1.GetTxResponse; ``block`` is the block that holds the transaction."""
    result = TxResult.unpacked(stored.result)
    raw = wire.tx.TxRaw.FromString(stored.tx_bytes)
    tx = wire.tx.Tx(
        body=wire.tx.TxBody.FromString(raw.body_bytes),
        auth_info=wire.tx.AuthInfo.FromString(raw.auth_info_bytes),
        signatures=raw.signatures,
    )
    time_s = blocks.time_ns_of(block.header) // 1_000_000_000
    response = wire.abci.TxResponse(
        height=stored.height,
        txhash=blocks.hex_text(stored.hash),
        codespace=result.codespace,
        code=result.code,
        data=blocks.hex_text(result.data or b""),
        raw_log=result.log,
        gas_wanted=result.gas_wanted,
        gas_used=result.gas_used,
        tx=wire.protobuf.Any(type_url="/cosmos.tx.v1beta1.Tx", value=tx.SerializeToString()),
        timestamp=blocks.time_text(time_s * 1_000_000_000),
        events=[_event(one) for one in result.events],
    )
    if result.code == 0:
        for row in json.loads(result.log):
            response.logs.append(_message_log(row))
    return wire.tx.GetTxResponse(tx=tx, tx_response=response)


def _event(one: Event) -> Any:
    return wire.tendermint_abci.Event(
        type=one.type,
        attributes=[
            wire.tendermint_abci.EventAttribute(key=key, value=value, index=True)
            for key, value in one.attributes
        ],
    )


def _message_log(row: dict[str, Any]) -> Any:
    log = wire.abci.ABCIMessageLog(msg_index=row["msg_index"])
    for one in row["events"]:
        log.events.add(
            type=one["type"],
            attributes=[
                wire.abci.Attribute(key=attribute["key"], value=attribute["value"])
                for attribute in one["attributes"]
            ],
        )
    return log
