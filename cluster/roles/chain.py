"""The one way to the chain's node: the library that speaks to it costs every process that imports
it a second and 50 MB."""

from __future__ import annotations

from greenray.actors import names
from greenray.chain.dialects import get_dialect
from greenray.chain.rpc.client import RpcChainClient
from greenray.cluster.config.node_config import NodeConfig
from greenray.cluster.roles import launch_names
from greenray.cluster.roles.host_services import HostServices
from greenray.seam.finder import offered


def build(config: NodeConfig, host: HostServices) -> RpcChainClient:
    return RpcChainClient(
        config.chain_endpoint,
        get_dialect(config.dialect),
        config.rpc.timeout_s,
        config.rpc.max_answer_bytes,
        config.rpc.follow,
        config.state.known_chain(),
    )


OFFERS = (
    offered(names.CHAIN, build),
    offered(names.CHAIN_HISTORY, build),
    offered(names.FOLLOWED_CHAIN, build),
    offered(names.STREAM_RECORDS, build),
    offered(launch_names.CHAIN_IDENTITY, build),
)
