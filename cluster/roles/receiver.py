"""A Receiver; there are a few, and each serves some of the hosted SPs."""

from __future__ import annotations

from greenray.actors import names
from greenray.actors.receiver.actor import Receiver
from greenray.chain.dialects import get_dialect
from greenray.cluster.config.node_config import NodeConfig
from greenray.cluster.roles import launch_names
from greenray.cluster.roles.host_services import HostServices
from greenray.seam.finder import offered


def build(config: NodeConfig, host: HostServices, index: int) -> Receiver:
    host.work_behind_uploads()
    return Receiver(
        chain=host.finder.find(names.CHAIN),
        job_store=host.finder.find(names.JOB_STORE),
        piece_stores=host.open_stores(config.pieces, config.served_by_receiver(index)),
        signer=host.finder.find(names.SIGNER),
        dialect=get_dialect(config.dialect),
        clock=host.clock,
        uploads=host.uploads,
        settings=config.receiver,
    )


OFFERS = (
    offered(names.receiver(0), build),
    offered(names.trace_of(names.receiver(0)), build),
    offered(launch_names.sweeper(0), build),
)
