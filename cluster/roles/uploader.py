"""The Uploader with the Gateways of all hosted SPs."""

from __future__ import annotations

from collections.abc import Sequence

from greenray.actors.gateway.node import UploaderNode
from greenray.actors.gateway.server import Binding, Gateway, GatewaySettings
from greenray.actors.receiver.directory import ReceiverDirectory
from greenray.actors.uploader.actor import Uploader, UploaderSettings
from greenray.chain.dialects import get_dialect
from greenray.cluster.config.node_config import NodeConfig, receiver_name, uploader_name
from greenray.cluster.on_ray.ports import (
    SMALL_COLUMN_BYTES,
    RayObjectSpace,
    named_port,
    process_name,
)


def build(config: NodeConfig) -> UploaderNode:
    job_store = named_port("job_store")
    signer = named_port("signer")
    piece_stores = config.pieces.stores(config.hosted)
    receivers = {sp: named_port(config.receiver_of(sp)) for sp in config.hosted}
    workers = ["task_node", "signer", *map(uploader_name, range(config.uploaders))]
    workers += map(receiver_name, range(config.receivers))
    space = RayObjectSpace()
    uploader = Uploader(
        job_store=job_store,
        piece_stores=piece_stores,
        object_space=space,
        signer=signer,
        waker=named_port("task_node"),
        owner=process_name(),
        settings=UploaderSettings(
            batch_segments=config.batch_segments,
            buffer_budget_bytes=config.ingest_bytes,
            hot_budget_bytes=config.hot_columns_bytes,
            spliced_budget_bytes=config.spliced_columns_bytes,
            hot_from_bytes=SMALL_COLUMN_BYTES,
            deadline_s=config.deadline_s,
            ahead_after_bytes=config.ahead_after_bytes,
        ),
    )

    def make_gateway(bindings: Sequence[Binding]) -> Gateway:
        return Gateway(
            bindings=bindings,
            chain=named_port("chain"),
            uploader=uploader,
            job_store=job_store,
            piece_stores=piece_stores,
            signer=signer,
            dialect=get_dialect(config.dialect),
            receiver=ReceiverDirectory(receivers),
            receiver_space=space,
            traces={name: named_port(name) for name in workers},
            settings=GatewaySettings(
                idle_timeout_s=config.idle_timeout_s, download_budget_bytes=config.download_bytes
            ),
        )

    return UploaderNode(uploader, make_gateway, space)
