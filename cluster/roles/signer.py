"""The Signer: nobody else holds the SPs' keys."""

from __future__ import annotations

import os

from greenray.actors.signer.actor import Signer, SignerSettings
from greenray.actors.signer.seal_queue import QueueSettings
from greenray.chain.dialects import get_dialect
from greenray.chain.keystore import KeyRing
from greenray.cluster.config.node_config import NodeConfig
from greenray.cluster.on_ray.ports import named_port


def build(config: NodeConfig) -> Signer:
    return Signer(
        chain=named_port("chain"),
        store=named_port("job_store"),
        keys=KeyRing.open(config.keys, os.environ).only(config.hosted),
        dialect=get_dialect(config.dialect),
        settings=SignerSettings(queue=QueueSettings(timeout_blocks=config.seal_timeout_blocks)),
    )
