"""The TaskNode."""

from __future__ import annotations

import sys
from dataclasses import replace

from greenray.actors import names
from greenray.actors.chain_view.provider_book import ProviderBook
from greenray.actors.credit.buffers import BufferPool
from greenray.actors.credit.byte_budget import ByteBudget
from greenray.actors.replication.secondaries import Directory
from greenray.actors.task_node.actor import TaskNode
from greenray.actors.task_node.driver_ports import DriverPorts
from greenray.actors.uploader.directory import UploaderDirectory
from greenray.chain.dialects import get_dialect
from greenray.cluster.config.node_config import NodeConfig
from greenray.cluster.roles import launch_names
from greenray.cluster.roles.host_services import HostServices
from greenray.coding.codec import get_codec
from greenray.seam.finder import offered


def build(config: NodeConfig, host: HostServices) -> TaskNode:
    find, space = host.finder.find, host.object_space
    receivers = {sp: find(names.receiver(config.receiver_of(sp))) for sp in config.hosted}
    uploaders = UploaderDirectory(
        [find(names.uploader(index)) for index in range(config.uploaders)]
    )
    in_cluster = replace(config.in_cluster, whole_group_bytes=host.small_column_bytes)
    ports = DriverPorts(
        job_store=find(names.JOB_STORE),
        piece_stores=host.open_stores(config.pieces, config.hosted),
        approvals=find(names.APPROVALS),
        secondaries=Directory(receivers, space, in_cluster=in_cluster, http=config.http),
        sealer=find(names.SEALER),
        encoder=host.encoder(get_codec(config.codec).name, config.parity_bytes),
        object_space=space,
        hot_columns=uploaders,
        running_uploads=uploaders,
        cold_buffers=BufferPool(config.cold_columns_bytes),
        replication_budget=ByteBudget(config.replication_bytes),
        providers=ProviderBook(find(names.CHAIN), host.clock),
        dialect=get_dialect(config.dialect),
        clock=host.clock,
    )
    keeps_hot = config.uploader.hot_budget_bytes or config.uploader.spliced_budget_bytes
    # With nothing kept hot, nobody is asked for hot columns of any size.
    hot_from_bytes = host.small_column_bytes if keeps_hot else sys.maxsize
    driver = replace(config.task_node.driver, hot_from_bytes=hot_from_bytes)
    settings = replace(config.task_node, driver=driver)
    return TaskNode(owner=host.process_name, ports=ports, settings=settings)


OFFERS = (
    offered(names.TASK_WAKER, build),
    offered(names.JOB_OPERATOR, build),
    offered(names.trace_of(names.TASK_WAKER), build),
    offered(launch_names.JOB_RUNNER, build),
)
