"""What a node says of itself, by JSON-RPC and by abci_query."""

from __future__ import annotations

from typing import Any

from greenray.chain.local import blocks
from greenray.chain.local.app import Application


def node_info(app: Application, listen_address: str) -> dict[str, Any]:
    """``node_info`` of status; ``listen_address`` is host:port."""
    return {
        "protocol_version": {"p2p": "8", "block": str(blocks.BLOCK_PROTOCOL), "app": "0"},
        "id": app.validator.address.hex(),
        "listen_addr": f"tcp://{listen_address}",
        "network": app.rules.chain_id,
        "version": "0.37.1",
        "channels": "40202122233038606170",
        "moniker": "greenray-local",
        "other": {"tx_index": "on", "rpc_address": f"tcp://{listen_address}"},
    }
