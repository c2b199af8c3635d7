"""The Signer: nobody else holds the SPs' keys."""

from __future__ import annotations

from greenray.actors import names
from greenray.actors.signer.actor import Signer
from greenray.chain.dialects import get_dialect
from greenray.chain.keystore import KeyRing
from greenray.chain.secrets import taken_secrets
from greenray.cluster.config.node_config import NodeConfig
from greenray.cluster.roles.host_services import HostServices
from greenray.seam.finder import offered


def build(config: NodeConfig, host: HostServices) -> Signer:
    return Signer(
        chain=host.finder.find(names.CHAIN),
        store=host.finder.find(names.JOB_STORE),
        keys=KeyRing.open(config.keys, taken_secrets()).only(config.hosted),
        dialect=get_dialect(config.dialect),
        settings=config.signer,
        clock=host.clock,
    )


OFFERS = (
    offered(names.SIGNER, build),
    offered(names.SEALER, build),
    offered(names.trace_of(names.SIGNER), build),
)
