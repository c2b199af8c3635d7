"""A Scrubber, in the process of the Receiver that serves the same SPs."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from greenray.actors import names
from greenray.actors.chain_view.provider_book import ProviderBook
from greenray.actors.downloader.lost_record import RecordMaker
from greenray.actors.downloader.piece_directory import PieceDirectory
from greenray.actors.downloader.recovery import RecoveryTools
from greenray.actors.ports import PieceSource
from greenray.actors.scrubber.actor import Scrubber
from greenray.actors.scrubber.column_repair import RepairTools
from greenray.chain.dialects import get_dialect
from greenray.cluster.config.node_config import NodeConfig
from greenray.cluster.roles import launch_names
from greenray.cluster.roles.host_services import HostServices
from greenray.coding.codec import Codec, get_codec
from greenray.seam.finder import offered

_THREADS = 4
"""One reads, one hashes, the others are for repairs."""


def build(config: NodeConfig, host: HostServices, index: int) -> Scrubber:
    find = host.finder.find
    served = config.served_by_receiver(index)
    receivers = {sp: find(names.receiver(config.receiver_of(sp))) for sp in config.hosted}
    pool = ThreadPoolExecutor(_THREADS, "scrubber")

    def other_pieces() -> PieceSource:
        from greenray.actors.downloader.pieces import HttpPieces  # 11 MB that few ever need

        providers = ProviderBook(find(names.CHAIN), host.clock)
        return HttpPieces(providers, find(names.SIGNER), config.http.connect_timeout_s)

    def codec() -> Codec:
        return get_codec(config.codec)

    slots = asyncio.Semaphore(config.downloader.parallel_rebuilds)
    tools = RepairTools(
        chain=find(names.CHAIN),
        jobs=find(names.JOB_STORE),
        stores=host.open_stores(config.pieces, served),
        receivers={sp: receivers[sp] for sp in served},
        recovery=RecoveryTools(
            PieceDirectory(receivers, other_pieces), codec, pool, slots, config.downloader
        ),
        records=RecordMaker(find(names.JOB_STORE), find(names.SIGNER), get_dialect(config.dialect)),
        codec=codec,
        pool=pool,
    )
    return Scrubber(
        name=names.scrubber(index).actor,
        journal=find(names.SCRUB_JOURNAL),
        tools=tools,
        pool=pool,
        clock=host.clock,
        uploads=host.uploads,
        settings=config.scrubber,
    )


OFFERS = (offered(names.scrubber(0), build), offered(launch_names.scrub_runner(0), build))
