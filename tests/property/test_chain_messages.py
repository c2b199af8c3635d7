"""Messages, proto-JSON, typed data and signatures for values that nobody wrote down."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenray.chain import wire
from greenray.chain.crypto import (
    address_of,
    keccak256,
    public_key_of,
    recover_digest,
    recover_signer,
    sign_bytes,
    to_checksum_address,
)
from greenray.chain.dialect import Coin, TransactionTerms
from greenray.chain.dialects import get_dialect, v0_2
from greenray.chain.dialects.v0_2 import (
    Message,
    MsgCancelCreateObject,
    MsgCreateBucket,
    MsgCreateObject,
    MsgDeleteBucket,
    MsgDeleteObject,
    MsgDiscontinueBucket,
    MsgDiscontinueObject,
    MsgRejectSealObject,
    MsgSealObject,
    MsgSend,
    SpApproval,
)
from greenray.chain.dialects.v0_2.p2p_wire import (
    decode_approval,
    decode_request,
    encode_approval,
    encode_request,
)
from greenray.chain.dialects.v0_2.state import object_info_from_wire, object_info_to_wire
from greenray.chain.eip712 import numeric_chain_id
from greenray.chain.proto_json import from_json, to_json
from greenray.chain.transactions.signing import sign_transaction
from greenray.protocol.approvals import Approval, ApprovalRequest
from greenray.protocol.errors import InvalidInput, SignatureError
from greenray.protocol.objects import (
    ObjectInfo,
    ObjectStatus,
    RedundancyType,
    SourceType,
    Visibility,
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
private_keys = st.integers(1, 2**255).map(lambda n: n.to_bytes(32))
addresses = st.binary(min_size=20, max_size=20).map(lambda b: to_checksum_address(b.hex()))
u64s = st.integers(0, 2**64 - 1)
approvals = st.builds(SpApproval, u64s, st.binary(max_size=65))
checksums = st.lists(st.binary(min_size=32, max_size=32), max_size=8).map(tuple)
names: dict[str, Any] = {"bucket_name": texts, "object_name": texts}

create_buckets = st.builds(
    MsgCreateBucket,
    creator=addresses,
    bucket_name=texts,
    visibility=st.sampled_from(Visibility),
    primary_sp_address=addresses,
    primary_sp_approval=st.none() | approvals,
    payment_address=st.just("") | addresses,
    charged_read_quota=u64s,
)
create_objects = st.builds(
    MsgCreateObject,
    creator=addresses,
    payload_size=u64s,
    visibility=st.sampled_from(Visibility),
    content_type=texts,
    primary_sp_approval=st.none() | approvals,
    expect_checksums=checksums,
    redundancy_type=st.sampled_from(RedundancyType),
    expect_secondary_sp_addresses=st.lists(addresses, max_size=3).map(tuple),
    **names,
)
seals = st.builds(
    MsgSealObject,
    operator=addresses,
    secondary_sp_addresses=st.lists(addresses, max_size=7).map(tuple),
    secondary_sp_signatures=st.lists(st.binary(max_size=65), max_size=7).map(tuple),
    **names,
)
coins = st.builds(Coin, st.just("BNB") | texts, st.integers(0, 2**256 - 1))
sends = st.builds(MsgSend, addresses, addresses, st.lists(coins, max_size=3).map(tuple))
messages = st.one_of(
    create_buckets,
    create_objects,
    seals,
    sends,
    st.builds(MsgCancelCreateObject, operator=addresses, **names),
    st.builds(MsgRejectSealObject, operator=addresses, **names),
    st.builds(MsgDeleteObject, operator=addresses, **names),
    st.builds(MsgDeleteBucket, operator=addresses, bucket_name=texts),
    st.builds(
        MsgDiscontinueObject,
        operator=addresses,
        bucket_name=texts,
        object_ids=st.lists(st.integers(0, 2**256 - 1), max_size=4).map(tuple),
        reason=texts,
    ),
    st.builds(MsgDiscontinueBucket, operator=addresses, bucket_name=texts, reason=texts),
)
terms = st.builds(
    TransactionTerms,
    chain_id=st.just("greenfield_9000-121"),
    account_number=u64s,
    sequence=u64s,
    gas_limit=u64s,
    fee=st.lists(coins, max_size=2).map(tuple),
    memo=texts,
    timeout_height=u64s,
)
object_infos = st.builds(
    ObjectInfo,
    owner=addresses,
    id=st.integers(0, 2**256 - 1),
    payload_size=u64s,
    visibility=st.sampled_from(Visibility),
    content_type=texts,
    create_at=st.integers(-(2**63), 2**63 - 1),
    object_status=st.sampled_from(ObjectStatus),
    redundancy_type=st.sampled_from(RedundancyType),
    source_type=st.sampled_from(SourceType),
    checksums=checksums,
    secondary_sp_addresses=st.lists(addresses, max_size=7).map(tuple),
    **names,
)


@given(messages)
def test_messages_survive_protobuf_and_json(message: Message) -> None:
    encoded = v0_2.encode_message(message)
    assert v0_2.decode_message(v0_2.type_url(message), encoded) == message
    text = json.dumps(v0_2.message_to_json(message))
    assert v0_2.message_from_json(json.loads(text), type(message)) == message
    named = {"@type": v0_2.type_url(message)} | json.loads(text)
    assert v0_2.message_from_json(named) == message


@given(messages)
def test_bare_numbers_and_camel_case_names_are_read_like_quoted_ones(message: Message) -> None:
    def relax(value: Any) -> Any:
        match value:
            case dict():
                return {_camel(k): relax(v) for k, v in value.items()}
            case list():
                return [relax(v) for v in value]
            case _:
                return value

    fields = relax(v0_2.message_to_json(message))
    for name in ("payloadSize", "chargedReadQuota"):
        if name in fields:
            fields[name] = int(fields[name])
    assert v0_2.message_from_json(fields, type(message)) == message


@given(messages, st.text(min_size=1, max_size=12))
def test_an_unknown_field_is_refused(message: Message, name: str) -> None:
    fields = v0_2.message_to_json(message)
    if name in fields:
        return
    with pytest.raises(InvalidInput, match="unknown field"):
        v0_2.message_from_json({**fields, name + "_x": 1}, type(message))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(texts, children, max_size=3),
    max_leaves=6,
)


@given(create_objects, st.sampled_from([*v0_2.MsgCreateObject.__slots__]), json_values)
def test_any_json_in_any_field_is_read_or_refused(
    message: MsgCreateObject, field: str, value: Any
) -> None:
    fields = v0_2.message_to_json(message) | {field: value}
    try:
        read = v0_2.message_from_json(fields, MsgCreateObject)
    except InvalidInput:
        return
    assert isinstance(read, MsgCreateObject)
    encoded = v0_2.encode_message(read)
    assert v0_2.decode_message(v0_2.type_url(read), encoded) == read


@given(st.binary(max_size=80))
def test_any_bytes_are_a_message_or_invalid_input(data: bytes) -> None:
    for cls in (MsgCreateObject, MsgSealObject, MsgSend):
        try:
            message = v0_2.decode_message(v0_2.type_url(cls), data)
        except InvalidInput:
            continue
        again = v0_2.encode_message(message)
        assert v0_2.decode_message(v0_2.type_url(cls), again) == message


@given(messages, terms, private_keys)
def test_whoever_signed_a_transaction_can_be_recovered(
    message: Message, terms: TransactionTerms, private_key: bytes
) -> None:
    digest = v0_2.eip712_digest(message, terms)
    fee = Coin("BNB", 5)
    signed = sign_transaction(
        get_dialect(),
        message,
        private_key=private_key,
        chain_id=terms.chain_id,
        account_number=terms.account_number,
        sequence=terms.sequence,
        gas_limit=terms.gas_limit,
        fee_amount=fee.amount,
        timeout_height=terms.timeout_height,
        memo=terms.memo,
    )
    digest = v0_2.eip712_digest(message, replace(terms, fee=(fee,)))
    signature = signed.tx_bytes[-65:]
    assert recover_digest(digest, signature) == public_key_of(private_key)


@given(messages, terms)
def test_the_digest_depends_on_every_term(message: Message, terms: TransactionTerms) -> None:
    digest = v0_2.eip712_digest(message, terms)
    for other in (
        replace(terms, sequence=(terms.sequence + 1) % 2**64),
        replace(terms, account_number=(terms.account_number + 1) % 2**64),
        replace(terms, memo=terms.memo + "!"),
        replace(terms, timeout_height=(terms.timeout_height + 1) % 2**64),
        replace(terms, chain_id="greenfield_9001-121"),
        replace(terms, fee=(*terms.fee, Coin("X", 1))),
    ):
        assert v0_2.eip712_digest(message, other) != digest


@given(create_objects, approvals)
def test_the_signature_inside_an_approval_is_not_signed(
    message: MsgCreateObject, approval: SpApproval
) -> None:
    first = v0_2.with_approval(message, approval.expired_height, b"")
    second = v0_2.with_approval(message, approval.expired_height, approval.sig)
    assert v0_2.approval_sign_bytes(first) == v0_2.approval_sign_bytes(second)
    later = v0_2.with_approval(message, (approval.expired_height + 1) % 2**64, b"")
    assert v0_2.approval_sign_bytes(later) != v0_2.approval_sign_bytes(first)


@given(private_keys, st.binary(max_size=200))
def test_a_signature_recovers_to_its_signer_whatever_v_it_has(key: bytes, data: bytes) -> None:
    signature = sign_bytes(key, data)
    assert signature[64] in (0, 1)
    assert recover_signer(data, signature) == address_of(key)
    ethereum_v = signature[:64] + bytes([signature[64] + 27])
    assert recover_signer(data, ethereum_v) == address_of(key)
    with pytest.raises(SignatureError):
        recover_digest(keccak256(data), ethereum_v, accept_27_28=False)


@given(private_keys, st.binary(max_size=50))
def test_a_high_s_signature_is_good_for_a_transaction_only(key: bytes, data: bytes) -> None:
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    low = sign_bytes(key, data)
    s = order - int.from_bytes(low[32:64])
    high = low[:32] + s.to_bytes(32) + bytes([1 - low[64]])
    assert recover_digest(keccak256(data), high) == public_key_of(key)
    with pytest.raises(SignatureError, match="low-s"):
        recover_signer(data, high)


@given(st.binary(max_size=70), st.binary(max_size=20))
def test_any_bytes_are_a_signature_or_refused(signature: bytes, data: bytes) -> None:
    try:
        signer = recover_signer(data, signature)
    except SignatureError:
        return
    assert signer == to_checksum_address(signer)


@given(addresses)
def test_an_address_is_the_same_however_it_is_written(address: str) -> None:
    assert to_checksum_address(address.lower()) == address
    assert to_checksum_address("0X" + address[2:].upper()) == address
    assert to_checksum_address(address[2:]) == address


@pytest.mark.parametrize("text", ["", "0x", "0x" + "1" * 39, "1 " * 20, "0x" + "g" * 40, "١" * 40])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        to_checksum_address(text)


@given(object_infos, addresses, st.integers(0, 2**62), st.binary(max_size=65))
def test_p2p_messages_survive_the_wire(
    info: ObjectInfo, sp: str, expired_time: int, signature: bytes
) -> None:
    request = ApprovalRequest(info, sp, signature)
    assert decode_request(encode_request(request)) == request
    approval = Approval(info, sp, expired_time, "too busy", signature)
    assert decode_approval(encode_approval(approval)) == approval


@given(st.binary(max_size=60))
def test_any_bytes_are_a_p2p_message_or_invalid_input(data: bytes) -> None:
    try:
        request = decode_request(data)
    except InvalidInput:
        return
    assert isinstance(request, ApprovalRequest)


@given(object_infos)
def test_chain_state_survives_proto_json(info: ObjectInfo) -> None:
    value = json.loads(json.dumps(to_json(object_info_to_wire(info))))
    assert value["object_status"] == info.object_status.name
    assert object_info_from_wire(from_json(wire.storage.ObjectInfo, value)) == info


@pytest.mark.parametrize(
    "text",
    [
        "",
        "greenfield",
        "greenfield_9000",
        "Greenfield_9000-1",
        "greenfield_09-1",
        "g_1-0",
        "g_1-1\n",
    ],
)
def test_what_is_no_chain_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        numeric_chain_id(text)


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(part.capitalize() for part in others)
