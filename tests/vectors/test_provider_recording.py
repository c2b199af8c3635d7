"""What running v0.2.0 providers said to each other: P2P messages and replicate-piece requests."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from greenray.chain.crypto import recover_signer, sign_bytes
from greenray.chain.dialects.v0_2.p2p_wire import (
    decode_approval,
    decode_ping,
    decode_pong,
    decode_request,
    encode_approval,
    encode_ping,
    encode_pong,
    encode_request,
)
from greenray.protocol.approvals import (
    approval_from_header,
    approval_sign_bytes,
    approval_to_header,
    request_sign_bytes,
)
from greenray.protocol.integrity import UnverifiedReceipt, secondary_sign_bytes, verify_receipt
from greenray.protocol.objects import StorageParams
from greenray.protocol.peers import ping_sign_bytes, pong_sign_bytes, public_key_in, tcp_address
from greenray.protocol.receiving import check_group, check_received, parse_replicate_headers
from tests.support.protocol_values import provider

_RECORDING = json.loads((Path(__file__).parent / "data" / "provider-v0_2.json").read_text())
_REPLICATIONS: list[dict[str, Any]] = _RECORDING["replicate_piece"]
_MESSAGES: list[dict[str, Any]] = _RECORDING["p2p_messages"]
_SPS: list[dict[str, Any]] = _RECORDING["test_keys"]["sps"]
_BY_OPERATOR = {sp["operator"]["address"]: sp for sp in _SPS}


def _headers(head: list[str]) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in head[1:])


def _of_type(name: str) -> list[dict[str, Any]]:
    return [m for m in _MESSAGES if m["type"] == f"p2p/{name}"]


@pytest.mark.parametrize("recorded", _REPLICATIONS, ids=lambda r: r["receiver"])
def test_recorded_approval_header_is_read_and_written_identically(recorded: dict[str, Any]) -> None:
    header = _headers(recorded["request_head"])["X-Gnfd-Replicate-Approval"]
    approval = approval_from_header(header)

    assert approval_to_header(approval) == header
    assert approval_sign_bytes(approval).decode() == recorded["approval_sign_bytes"]
    key = bytes.fromhex(_BY_OPERATOR[approval.sp_operator_address]["operator"]["private_key"])
    assert sign_bytes(key, approval_sign_bytes(approval)) == approval.signature


@pytest.mark.parametrize("recorded", _REPLICATIONS, ids=lambda r: r["receiver"])
def test_recorded_request_passes_every_check_of_the_receiver(recorded: dict[str, Any]) -> None:
    headers = _headers(recorded["request_head"])
    claims = parse_replicate_headers(
        headers["X-Gnfd-Object-Id"],
        headers["X-Gnfd-Redundancy-Index"],
        headers["X-Gnfd-Piece-Size"],
        headers["X-Gnfd-Replicate-Approval"],
    )
    info = claims.approval.object_info
    assert claims.object_id == info.id

    pieces = check_group(
        claims.approval,
        claims.redundancy_index,
        object_info=info,
        params=StorageParams(),
        own_address=claims.approval.sp_operator_address,
        now_s=claims.approval.expired_time,
        recover=recover_signer,
        piece_size_bytes=claims.piece_size_bytes,
        content_length_bytes=int(headers["Content-Length"]),
    )

    assert pieces.size_bytes == len(bytes.fromhex(recorded["body_hex"]))


@pytest.mark.parametrize("recorded", _REPLICATIONS, ids=lambda r: r["receiver"])
def test_recorded_answer_is_what_we_would_answer_and_accept(recorded: dict[str, Any]) -> None:
    headers = _headers(recorded["request_head"])
    answer = _headers(recorded["response_head"])
    approval = approval_from_header(headers["X-Gnfd-Replicate-Approval"])
    info, address = approval.object_info, approval.sp_operator_address
    index = int(headers["X-Gnfd-Redundancy-Index"])
    checksum = sha256(bytes.fromhex(recorded["body_hex"])).digest()

    digest = check_received([checksum], index, object_info=info, params=StorageParams())
    signature = bytes.fromhex(answer["X-Gnfd-Integrity-Hash-Signature"])
    keys = _BY_OPERATOR[address]["approval"]

    assert digest.hex() == answer["X-Gnfd-Integrity-Hash"]
    sign_doc = secondary_sign_bytes(address, info.id, digest)
    assert sign_bytes(bytes.fromhex(keys["private_key"]), sign_doc) == signature
    verify_receipt(
        UnverifiedReceipt(index, address, digest, signature),
        info,
        provider(address, keys["address"]),
        recover_signer,
    )


def test_all_six_redundancy_indices_were_recorded() -> None:
    indices = {_headers(r["request_head"])["X-Gnfd-Redundancy-Index"] for r in _REPLICATIONS}
    assert indices == {"0", "1", "2", "3", "4", "5"}


@pytest.mark.parametrize("recorded", _of_type("GetApprovalRequest"))
def test_recorded_approval_request_has_our_sign_bytes_and_encoding(
    recorded: dict[str, Any],
) -> None:
    wire = bytes.fromhex(recorded["protobuf_hex"])
    request = decode_request(wire)

    assert request_sign_bytes(request).decode() == recorded["our_sign_bytes"]
    assert recover_signer(request_sign_bytes(request), request.signature) == (
        request.sp_operator_address
    )
    assert request.signature.hex() == recorded["signature"]
    assert encode_request(request) == wire


@pytest.mark.parametrize("recorded", _of_type("GetApprovalResponse"))
def test_recorded_approval_has_our_sign_bytes_and_encoding(recorded: dict[str, Any]) -> None:
    wire = bytes.fromhex(recorded["protobuf_hex"])
    approval = decode_approval(wire)

    assert approval_sign_bytes(approval).decode() == recorded["our_sign_bytes"]
    assert recover_signer(approval_sign_bytes(approval), approval.signature) == (
        approval.sp_operator_address
    )
    assert approval.signature.hex() == recorded["signature"]
    assert encode_approval(approval) == wire


@pytest.mark.parametrize("recorded", _of_type("Ping"))
def test_recorded_pings_are_read_and_written_identically(recorded: dict[str, Any]) -> None:
    ping = decode_ping(bytes.fromhex(recorded["protobuf_hex"]))

    assert encode_ping(ping).hex() == recorded["protobuf_hex"]
    assert recover_signer(ping_sign_bytes(ping), ping.signature) == ping.sp_operator_address


@pytest.mark.parametrize("recorded", _of_type("Pong"))
def test_recorded_pongs_are_read_and_written_identically(recorded: dict[str, Any]) -> None:
    pong = decode_pong(bytes.fromhex(recorded["protobuf_hex"]))

    assert encode_pong(pong).hex() == recorded["protobuf_hex"]
    assert recover_signer(pong_sign_bytes(pong), pong.signature) == pong.sp_operator_address
    for node in pong.nodes:
        public_key_in(node.node_id)
        assert all(tcp_address(address, node.node_id) for address in node.multi_addr)
