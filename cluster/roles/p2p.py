"""P2P for all hosted SPs."""

from __future__ import annotations

from greenray.actors import names
from greenray.actors.chain_view.provider_book import ProviderBook
from greenray.actors.p2p.actor import P2P
from greenray.chain.dialects import get_dialect
from greenray.cluster.config.node_config import NodeConfig
from greenray.cluster.roles.host_services import HostServices
from greenray.seam.finder import offered


def build(config: NodeConfig, host: HostServices) -> P2P:
    return P2P(
        hosted=config.hosted,
        providers=ProviderBook(host.finder.find(names.CHAIN), host.clock),
        signer=host.finder.find(names.SIGNER),
        dialect=get_dialect(config.dialect),
        clock=host.clock,
        settings=config.p2p,
    )


OFFERS = (offered(names.APPROVALS, build),)
