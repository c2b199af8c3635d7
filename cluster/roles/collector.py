"""The Collector: one for all hosted SPs, on the node that has the journal."""

from __future__ import annotations

from greenray.actors import names
from greenray.actors.collector.actor import Collector
from greenray.cluster.config.node_config import NodeConfig
from greenray.cluster.roles import launch_names
from greenray.cluster.roles.host_services import HostServices
from greenray.seam.finder import offered


def build(config: NodeConfig, host: HostServices) -> Collector:
    return Collector(
        chain=host.finder.find(names.FOLLOWED_CHAIN),
        journal=host.finder.find(names.COLLECTOR_JOURNAL),
        job_store=host.finder.find(names.JOB_STORE),
        piece_stores=host.open_stores(config.pieces, config.hosted),
        clock=host.clock,
        index=host.finder.find(names.INDEX_ROWS),
        settings=config.collector,
    )


OFFERS = (
    offered(names.COLLECTOR, build),
    offered(names.INDEX_FOLLOWER, build),
    offered(launch_names.COLLECTOR_RUNNER, build),
)
