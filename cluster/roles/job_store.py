"""The one owner of the journal; it runs on the node that has the file, which whoever starts the
network has made or checked (``greenray.cluster.journal``)."""

from __future__ import annotations

from greenray.actors import names
from greenray.cluster.config.journal_freeze import after_commit_from_environment
from greenray.cluster.config.node_config import NodeConfig
from greenray.cluster.roles.host_services import HostServices
from greenray.seam.finder import offered
from greenray.storage.sqlite_store import SqliteJobStore


def build(config: NodeConfig, host: HostServices) -> SqliteJobStore:
    return SqliteJobStore.open(
        config.state.job_store_file,
        clock=host.clock,
        after_commit=after_commit_from_environment(),
        create=False,
        fault_points=host.fault_points,
    )


OFFERS = (
    offered(names.JOB_STORE, build),
    offered(names.SCRUB_JOURNAL, build),
    offered(names.COLLECTOR_JOURNAL, build),
    offered(names.READ_LEDGER, build),
    offered(names.USER_KEYS, build),
    offered(names.INDEX_ROWS, build),
    offered(names.OBJECT_INDEX, build),
)
