"""P2P for all hosted SPs."""

from __future__ import annotations

import time

from actors.p2p import P2P
from actors.provider_book import ProviderBook
from cluster.node_config import NodeConfig
from cluster.ray_ports import named_port


def build(config: NodeConfig) -> P2P:
    return P2P(
        hosted=config.hosted,
        providers=ProviderBook(named_port("chain"), time.time),
        signer=named_port("signer"),
        clock=time.time,
    )
