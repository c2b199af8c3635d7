"""The one way to the chain's node: the library that speaks to it costs every process that imports
it a second and 50 MB."""

from __future__ import annotations

from greenray.chain.dialects import get_dialect
from greenray.chain.rpc.client import RpcChainClient
from greenray.cluster.config.node_config import NodeConfig


def build(config: NodeConfig) -> RpcChainClient:
    return RpcChainClient(config.chain_endpoint, get_dialect(config.dialect))
