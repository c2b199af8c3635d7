"""The Signer: nobody else holds the SPs' keys."""

from __future__ import annotations

import os

from actors.seal_queue import QueueSettings
from actors.signer import Signer, SignerSettings
from chain.dialects import get_dialect
from chain.keystore import KeyRing
from cluster.node_config import NodeConfig
from cluster.ray_ports import named_port


def build(config: NodeConfig) -> Signer:
    return Signer(
        chain=named_port("chain"),
        store=named_port("job_store"),
        keys=KeyRing.open(config.keys, os.environ).only(config.hosted),
        dialect=get_dialect(config.dialect),
        settings=SignerSettings(queue=QueueSettings(timeout_blocks=config.seal_timeout_blocks)),
    )
