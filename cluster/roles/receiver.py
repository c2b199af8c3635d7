"""A Receiver; there are a few, and each serves some of the hosted SPs."""

from __future__ import annotations

import time

from greenray.actors.receiver.actor import Receiver
from greenray.chain.dialects import get_dialect
from greenray.cluster.config.node_config import NodeConfig
from greenray.cluster.on_ray.ports import named_port
from greenray.cluster.on_ray.worker_process import work_behind_uploads


def build(config: NodeConfig, index: int) -> Receiver:
    work_behind_uploads()
    return Receiver(
        chain=named_port("chain"),
        job_store=named_port("job_store"),
        piece_stores=config.pieces.stores(config.served_by_receiver(index)),
        signer=named_port("signer"),
        dialect=get_dialect(config.dialect),
        clock=time.time,
    )
