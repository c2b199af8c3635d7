"""Protobuf bytes of the P2P messages (protocol 03 §3). What is signed is in
greenray.protocol.approvals."""

from __future__ import annotations

from typing import Any

from greenray.chain import wire
from greenray.chain.dialects.v0_2.state import object_info_from_wire, object_info_to_wire
from greenray.protocol.approvals import Approval, ApprovalRequest
from greenray.protocol.errors import InvalidInput
from greenray.protocol.objects import ObjectInfo
from greenray.protocol.peers import Ping, Pong, PongNode


def encode_request(request: ApprovalRequest) -> bytes:
    """A GetApprovalRequest; the signature is field 4, number 3 is not used."""
    message = wire.p2p.GetApprovalRequest(
        object_info=object_info_to_wire(request.object_info),
        sp_operator_address=request.sp_operator_address,
        signature=request.signature,
    )
    encoded: bytes = message.SerializeToString()
    return encoded


def decode_request(data: bytes) -> ApprovalRequest:
    """Raises InvalidInput for bytes that are no GetApprovalRequest with an object."""
    message = wire.decode(wire.p2p.GetApprovalRequest, data)
    return ApprovalRequest(_object_info(message), message.sp_operator_address, message.signature)


def encode_approval(approval: Approval) -> bytes:
    """A GetApprovalResponse."""
    message = wire.p2p.GetApprovalResponse(
        object_info=object_info_to_wire(approval.object_info),
        sp_operator_address=approval.sp_operator_address,
        expired_time=approval.expired_time,
        refused_reason=approval.refused_reason,
        signature=approval.signature,
    )
    encoded: bytes = message.SerializeToString()
    return encoded


def decode_approval(data: bytes) -> Approval:
    """Raises InvalidInput for bytes that are no GetApprovalResponse with an object."""
    message = wire.decode(wire.p2p.GetApprovalResponse, data)
    return Approval(
        _object_info(message),
        message.sp_operator_address,
        message.expired_time,
        message.refused_reason,
        message.signature,
    )


def encode_ping(ping: Ping) -> bytes:
    """A Ping."""
    message = wire.p2p.Ping(sp_operator_address=ping.sp_operator_address, signature=ping.signature)
    encoded: bytes = message.SerializeToString()
    return encoded


def decode_ping(data: bytes) -> Ping:
    """Raises InvalidInput for bytes that are no Ping."""
    message = wire.decode(wire.p2p.Ping, data)
    return Ping(message.sp_operator_address, message.signature)


def encode_pong(pong: Pong) -> bytes:
    """A Pong."""
    message = wire.p2p.Pong(
        nodes=[wire.p2p.Node(node_id=n.node_id, multi_addr=n.multi_addr) for n in pong.nodes],
        sp_operator_address=pong.sp_operator_address,
        signature=pong.signature,
    )
    encoded: bytes = message.SerializeToString()
    return encoded


def decode_pong(data: bytes) -> Pong:
    """Raises InvalidInput for bytes that are no Pong."""
    message = wire.decode(wire.p2p.Pong, data)
    nodes = tuple(PongNode(node.node_id, tuple(node.multi_addr)) for node in message.nodes)
    return Pong(nodes, message.sp_operator_address, message.signature)


def _object_info(message: Any) -> ObjectInfo:
    if not message.HasField("object_info"):
        raise InvalidInput(f"a {message.DESCRIPTOR.name} without an object")
    return object_info_from_wire(message.object_info)
