"""The actors of a network by their names, each with the port that it is seen as."""

from __future__ import annotations

from typing import Any

from greenray.actors.ports import (
    ApprovalSource,
    CollectorPort,
    IndexFollower,
    JobOperator,
    ReceiverPort,
    ScrubberPort,
    SealerPort,
    SignerPort,
    TaskWaker,
    UploaderPort,
)
from greenray.chain.ports import ChainClient, ChainHistory, FollowedChain, StreamRecords
from greenray.seam.finder import PortName
from greenray.storage.object_index import IndexRows, ObjectIndex
from greenray.storage.ports import CollectorJournal, JobStore
from greenray.storage.read_ledger import ReadLedger
from greenray.storage.scrub_journal import ScrubJournal
from greenray.storage.user_key_store import UserKeyStore
from greenray.timeline.stage_trace import TraceSource

CHAIN = PortName("chain", ChainClient)
CHAIN_HISTORY = PortName("chain", ChainHistory)
FOLLOWED_CHAIN = PortName("chain", FollowedChain)
STREAM_RECORDS = PortName("chain", StreamRecords)
JOB_STORE = PortName("job_store", JobStore)
SCRUB_JOURNAL = PortName("job_store", ScrubJournal)
COLLECTOR_JOURNAL = PortName("job_store", CollectorJournal)
READ_LEDGER = PortName("job_store", ReadLedger)
USER_KEYS = PortName("job_store", UserKeyStore)
INDEX_ROWS = PortName("job_store", IndexRows)
OBJECT_INDEX = PortName("job_store", ObjectIndex)
SIGNER = PortName("signer", SignerPort)
SEALER = PortName("signer", SealerPort)
APPROVALS = PortName("p2p", ApprovalSource)
TASK_WAKER = PortName("task_node", TaskWaker)
JOB_OPERATOR = PortName("task_node", JobOperator)
COLLECTOR = PortName("collector", CollectorPort)
INDEX_FOLLOWER = PortName("collector", IndexFollower)


def receiver(index: int) -> PortName[ReceiverPort]:
    return PortName(f"receiver-{index}", ReceiverPort)


def scrubber(index: int) -> PortName[ScrubberPort]:
    """Of the SPs that the Receiver of the same index serves."""
    return PortName(f"scrubber-{index}", ScrubberPort)


def uploader(index: int) -> PortName[UploaderPort]:
    return PortName(f"uploader-{index}", UploaderPort)


def trace_of(name: PortName[Any]) -> PortName[TraceSource]:
    """The same actor as one that keeps stages."""
    return PortName(name.actor, TraceSource)


def trace_sources(receivers: int, uploaders: int) -> tuple[PortName[TraceSource], ...]:
    """All actors of a network that work on objects."""
    working: list[PortName[Any]] = [TASK_WAKER, SIGNER]
    working += map(uploader, range(uploaders))
    working += map(receiver, range(receivers))
    return tuple(map(trace_of, working))
