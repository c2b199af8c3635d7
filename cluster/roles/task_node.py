"""The TaskNode."""

from __future__ import annotations

import sys
import time

from greenray.actors.chain_view.provider_book import ProviderBook
from greenray.actors.credit.buffers import BufferPool
from greenray.actors.credit.byte_budget import ByteBudget
from greenray.actors.replication.run import ReplicationSettings
from greenray.actors.replication.secondaries import Directory, InClusterSettings
from greenray.actors.task_node.actor import TaskNode, TaskNodeSettings
from greenray.actors.task_node.driver_ports import DriverPorts, DriverSettings
from greenray.actors.uploader.directory import UploaderDirectory
from greenray.chain.dialects import get_dialect
from greenray.cluster.config.node_config import NodeConfig, uploader_name
from greenray.cluster.on_ray.ports import (
    SMALL_COLUMN_BYTES,
    RayEncoder,
    RayObjectSpace,
    named_port,
    process_name,
)
from greenray.coding.codec import get_codec


def build(config: NodeConfig) -> TaskNode:
    space = RayObjectSpace()
    receivers = {sp: named_port(config.receiver_of(sp)) for sp in config.hosted}
    uploaders = UploaderDirectory(
        [named_port(uploader_name(index)) for index in range(config.uploaders)]
    )
    ports = DriverPorts(
        job_store=named_port("job_store"),
        piece_stores=config.pieces.stores(config.hosted),
        approvals=named_port("p2p"),
        secondaries=Directory(
            receivers, space, in_cluster=InClusterSettings(whole_group_bytes=SMALL_COLUMN_BYTES)
        ),
        sealer=named_port("signer"),
        encoder=RayEncoder(get_codec(config.codec).name, space.placing),
        object_space=space,
        hot_columns=uploaders,
        running_uploads=uploaders,
        cold_buffers=BufferPool(config.cold_columns_bytes),
        replication_budget=ByteBudget(config.replication_bytes),
        providers=ProviderBook(named_port("chain"), time.time),
        dialect=get_dialect(config.dialect),
        clock=time.time,
    )
    keeps_hot = config.hot_columns_bytes or config.spliced_columns_bytes
    driver = DriverSettings(
        approval_timeout_s=config.approval_timeout_s,
        # With nothing kept hot, nobody is asked for hot columns of any size.
        hot_from_bytes=SMALL_COLUMN_BYTES if keeps_hot else sys.maxsize,
        retry_base_s=config.retry_base_s,
        retry_cap_s=config.retry_cap_s,
        replication=ReplicationSettings(batch_timeout_s=config.batch_timeout_s),
    )
    return TaskNode(owner=process_name(), ports=ports, settings=TaskNodeSettings(driver=driver))
