"""Approvals of secondary SPs: the P2P messages and what is signed (protocol 03 §3, §6, §7)."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.objects import ObjectInfo


@dataclass(frozen=True, slots=True)
class Approval:
    """A GetApprovalResponse: ``sp_operator_address`` will take a group of this object until
    ``expired_time`` (unix seconds, equality still valid). ``refused_reason`` empty = accepted."""

    object_info: ObjectInfo
    sp_operator_address: str
    expired_time: int
    refused_reason: str = ""
    signature: bytes = b""


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """A GetApprovalRequest of the primary ``sp_operator_address``."""

    object_info: ObjectInfo
    sp_operator_address: str
    signature: bytes = b""
