"""P2P for all hosted SPs."""

from __future__ import annotations

import time

from greenray.actors.chain_view.provider_book import ProviderBook
from greenray.actors.p2p.actor import P2P
from greenray.chain.dialects import get_dialect
from greenray.cluster.config.node_config import NodeConfig
from greenray.cluster.on_ray.ports import named_port


def build(config: NodeConfig) -> P2P:
    return P2P(
        hosted=config.hosted,
        providers=ProviderBook(named_port("chain"), time.time),
        signer=named_port("signer"),
        dialect=get_dialect(config.dialect),
        clock=time.time,
    )
