"""Secondaries of v0.2: any providers that approve when they are asked by P2P (protocol 03).

Each signs for its own group and is replaced alone: the next one that approved gets the whole group.
"""

from __future__ import annotations

from collections.abc import Sequence

from greenray.chain.crypto import recover_signer
from greenray.chain.dialect import P2pWire, SealSignature
from greenray.chain.dialects.v0_2 import p2p_wire as _p2p_wire
from greenray.chain.dialects.v0_2.messages import MsgSealObject
from greenray.protocol import integrity
from greenray.protocol.approvals import Approval
from greenray.protocol.integrity import UnverifiedReceipt
from greenray.protocol.job import JobContext, SecondaryReceipt
from greenray.protocol.objects import ObjectInfo, StorageProvider
from greenray.protocol.replication_plan import ReplicationPlan

# The type makes the type checker compare the module with what is asked of it.
p2p_wire: P2pWire = _p2p_wire


def plan(job: JobContext) -> ReplicationPlan:
    """Of the job's present approval round. Raises TooFewApprovals."""
    return ReplicationPlan.of(job)


def plan_with(
    job: JobContext, approvals: Sequence[Approval], not_accepted: Sequence[tuple[str, str]]
) -> ReplicationPlan:
    """Raises TooFewApprovals, with every provider's reason."""
    return ReplicationPlan.make(
        approvals,
        job.params.n,
        job.secondaries,
        not_accepted=not_accepted,
        where=job.object_info.name,
    )


def receipt_sign_bytes(operator_address: str, object_id: int, integrity_hash: bytes) -> bytes:
    """SecondarySpSignDoc (03 §6)."""
    return integrity.secondary_sign_bytes(operator_address, object_id, integrity_hash)


def verify_receipt(
    receipt: UnverifiedReceipt | SecondaryReceipt,
    object_info: ObjectInfo,
    provider: StorageProvider,
) -> SecondaryReceipt:
    """Raises SecondaryLied."""
    return integrity.verify_receipt(receipt, object_info, provider, recover_signer)


def seal_signatures(seal: MsgSealObject, object_info: ObjectInfo) -> tuple[SealSignature, ...]:
    """Raises SignatureError for a signature that no key could have made."""
    held = zip(
        seal.secondary_sp_addresses,
        seal.secondary_sp_signatures,
        object_info.checksums[1:],
        strict=True,
    )
    return tuple(
        SealSignature(
            address,
            signature,
            recover_signer(receipt_sign_bytes(address, object_info.id, checksum), signature),
        )
        for address, signature, checksum in held
    )
