"""The Uploader and the Downloader with the Gateways of all hosted SPs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from greenray.actors import names
from greenray.actors.chain_view.provider_book import ProviderBook
from greenray.actors.downloader.actor import Downloader
from greenray.actors.downloader.lost_record import RecordMaker
from greenray.actors.downloader.piece_directory import PieceDirectory
from greenray.actors.downloader.pieces import HttpPieces
from greenray.actors.gateway.challenge import ChallengeAnswers
from greenray.actors.gateway.lists import ListAnswers
from greenray.actors.gateway.node import UploaderNode
from greenray.actors.gateway.server import Binding, Gateway
from greenray.actors.receiver.directory import ReceiverDirectory
from greenray.actors.uploader.actor import Uploader
from greenray.chain.dialects import get_dialect
from greenray.cluster.config.node_config import NodeConfig
from greenray.cluster.roles import launch_names
from greenray.cluster.roles.host_services import HostServices
from greenray.coding.codec import get_codec
from greenray.seam.finder import offered


def build(config: NodeConfig, host: HostServices) -> UploaderNode:
    find, space = host.finder.find, host.object_space
    piece_stores = host.open_stores(config.pieces, config.hosted)
    receivers = {sp: find(names.receiver(config.receiver_of(sp))) for sp in config.hosted}
    traces = names.trace_sources(config.receivers, config.uploaders)
    uploader = Uploader(
        job_store=find(names.JOB_STORE),
        piece_stores=piece_stores,
        object_space=space,
        signer=find(names.SIGNER),
        waker=find(names.TASK_WAKER),
        owner=host.process_name,
        settings=replace(config.uploader, hot_from_bytes=host.small_column_bytes),
    )

    providers = ProviderBook(find(names.CHAIN), host.clock)
    receiver = ReceiverDirectory(receivers)
    downloader = Downloader(
        chain=find(names.CHAIN),
        job_store=find(names.JOB_STORE),
        piece_stores=piece_stores,
        pieces=PieceDirectory(
            receivers,
            lambda: HttpPieces(providers, find(names.SIGNER), config.http.connect_timeout_s),
        ),
        codec=lambda: get_codec(config.codec),
        records=RecordMaker(find(names.JOB_STORE), find(names.SIGNER), get_dialect(config.dialect)),
        settings=config.downloader,
    )

    def make_gateway(bindings: Sequence[Binding]) -> Gateway:
        return Gateway(
            bindings=bindings,
            chain=find(names.CHAIN),
            uploader=uploader,
            downloader=downloader,
            job_store=find(names.JOB_STORE),
            ledger=find(names.READ_LEDGER),
            user_keys=find(names.USER_KEYS),
            signer=find(names.SIGNER),
            dialect=get_dialect(config.dialect),
            challenges=ChallengeAnswers(
                chain=find(names.CHAIN),
                providers=providers,
                job_store=find(names.JOB_STORE),
                piece_stores=piece_stores,
                receiver=receiver,
            ),
            lists=ListAnswers(
                find(names.OBJECT_INDEX),
                find(names.INDEX_FOLLOWER),
                find(names.STREAM_RECORDS),
            ),
            receiver=receiver,
            receiver_space=space,
            traces={name.actor: find(name) for name in traces},
            settings=config.gateway,
            fault_points=host.fault_points,
        )

    return UploaderNode(uploader, downloader, make_gateway, space)


OFFERS = (
    offered(names.uploader(0), build),
    offered(names.trace_of(names.uploader(0)), build),
    offered(launch_names.gateways(0), build),
    offered(launch_names.payloads(names.uploader(0).actor), build),
)
