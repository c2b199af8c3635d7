"""Transactions, approvals, typed data and faults of running v0.2.0 programs."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from greenray.chain import wire
from greenray.chain.crypto import (
    address_of,
    address_of_public_key,
    keccak256,
    recover_digest,
    recover_signer,
    sign_bytes,
    sign_digest,
)
from greenray.chain.dialect import Coin, TransactionTerms
from greenray.chain.dialects import get_dialect, v0_2
from greenray.chain.dialects.v0_2 import MsgCreateBucket, MsgCreateObject, MsgSealObject, SpApproval
from greenray.chain.eip712 import encode_type, hash_struct, numeric_chain_id, type_hash
from greenray.chain.transactions.signing import sign_transaction, unsigned_for_simulation
from greenray.protocol.go_json import sorted_compact
from greenray.protocol.integrity import secondary_sign_bytes
from greenray.protocol.objects import RedundancyType, Visibility

_DATA = Path(__file__).parent / "data"
_CHAIN = json.loads((_DATA / "chain-v0_2.json").read_text())
_PROVIDER = json.loads((_DATA / "provider-v0_2.json").read_text())
_ACCEPTED: list[dict[str, Any]] = _CHAIN["accepted"]
_DIALECT = get_dialect()

each_accepted = pytest.mark.parametrize("sample", _ACCEPTED, ids=[a["label"] for a in _ACCEPTED])


def _terms(sample: dict[str, Any]) -> TransactionTerms:
    return TransactionTerms(
        sample["chain_id"],
        sample["account_number"],
        sample["sequence"],
        sample["gas_limit"],
        tuple(Coin(**coin) for coin in sample["fee"]),
        fee_payer=sample["fee_payer_in_tx"],
        memo=sample["memo"],
        timeout_height=sample["timeout_height"],
    )


# --- the 38 accepted transactions ----------------------------------------------------------------


@each_accepted
def test_proto_json_of_an_accepted_message_goes_both_ways(sample: dict[str, Any]) -> None:
    message = v0_2.message_from_json(sample["message"])
    fields = {k: v for k, v in sample["message"].items() if k != "@type"}
    assert list(v0_2.message_to_json(message).items()) == list(fields.items())
    assert v0_2.type_url(message) == sample["message"]["@type"]
    assert v0_2.message_from_json(fields, type(message)) == message


@each_accepted
def test_typed_data_digest_and_signature_are_the_accepted_ones(sample: dict[str, Any]) -> None:
    message = v0_2.message_from_json(sample["message"])
    assert v0_2.eip712_typed_data(message, _terms(sample)) == sample["typed_data"]
    digest = v0_2.eip712_digest(message, _terms(sample))
    assert digest.hex() == sample["digest"]
    signature = sign_digest(bytes.fromhex(sample["private_key"]), digest)
    assert signature.hex() == sample["signature"]
    public_key = recover_digest(digest, signature)
    assert public_key.hex() == sample["public_key"]
    assert address_of_public_key(public_key) == sample["signer"] == v0_2.signer_address(message)


@each_accepted
def test_transaction_bytes_are_the_accepted_ones(sample: dict[str, Any]) -> None:
    message = v0_2.message_from_json(sample["message"])
    (fee,) = sample["fee"]
    signed = sign_transaction(
        _DIALECT,
        message,
        private_key=bytes.fromhex(sample["private_key"]),
        chain_id=sample["chain_id"],
        account_number=sample["account_number"],
        sequence=sample["sequence"],
        gas_limit=sample["gas_limit"],
        fee_amount=fee["amount"],
        fee_denom=fee["denom"],
        fee_payer=sample["fee_payer_in_tx"],
        timeout_height=sample["timeout_height"],
        memo=sample["memo"],
    )
    raw = wire.tx.TxRaw.FromString(signed.tx_bytes)
    assert raw.body_bytes.hex() == sample["body_bytes"]
    assert raw.auth_info_bytes.hex() == sample["auth_info_bytes"]
    assert signed.tx_bytes == base64.b64decode(sample["tx"])
    assert signed.tx_hash == sample["tx_hash"]
    # The recorder simulated without memo and timeout height.
    public_key = bytes.fromhex(sample["public_key"])
    simulated = unsigned_for_simulation(_DIALECT, message, public_key, sample["sequence"])
    assert simulated == base64.b64decode(sample["simulate"]["tx"])


@each_accepted
def test_protobuf_of_an_accepted_message_goes_both_ways(sample: dict[str, Any]) -> None:
    body = wire.tx.TxBody.FromString(bytes.fromhex(sample["body_bytes"]))
    (packed,) = body.messages
    message = v0_2.decode_message(packed.type_url, packed.value)
    assert message == v0_2.message_from_json(sample["message"])
    assert v0_2.encode_message(message) == packed.value
    assert v0_2.validate_basic(message) is None


@pytest.mark.parametrize("sample", [a for a in _ACCEPTED if "approval" in a], ids=str)
def test_approvals_are_the_accepted_ones(sample: dict[str, Any]) -> None:
    message = v0_2.message_from_json(sample["message"])
    assert isinstance(message, MsgCreateBucket | MsgCreateObject)
    text = v0_2.approval_sign_bytes(message)
    assert text.decode() == sample["approval"]["sign_bytes"]
    assert keccak256(text).hex() == sample["approval"]["digest"]
    signature = bytes.fromhex(sample["approval"]["signature"])
    assert message.primary_sp_approval is not None
    assert message.primary_sp_approval.sig == signature
    signer = recover_signer(text, signature)
    approvers = {k["address"]: k for n, k in _CHAIN["keys"].items() if n.endswith("-approval")}
    assert sign_bytes(bytes.fromhex(approvers[signer]["private_key"]), text) == signature


@pytest.mark.parametrize("sample", [a for a in _ACCEPTED if "sign_docs" in a], ids=str)
def test_a_seal_carries_the_recorded_signatures_of_the_secondaries(sample: dict[str, Any]) -> None:
    message = v0_2.message_from_json(sample["message"])
    assert isinstance(message, MsgSealObject)
    for document, signature in zip(
        sample["sign_docs"], message.secondary_sp_signatures, strict=True
    ):
        assert signature.hex() == document["signature"]
        recover_signer(document["sign_bytes"].encode(), signature)


# --- ValidateBasic -------------------------------------------------------------------------------


def test_validate_basic_says_what_the_chain_said() -> None:
    """CheckTx answers ValidateBasic's faults; a later check's answer must find no fault here."""
    later = {("sdk", 8), ("", 0)}
    said = 0
    for sample in _CHAIN["errors"]:
        message_json = sample.get("message")
        if not message_json or sample["label"].startswith(("ante", "decode")):
            continue
        answer = sample["broadcast_sync"].get("result")
        fault = v0_2.validate_basic(v0_2.message_from_json(message_json))
        if fault is None:
            assert (answer["codespace"], answer["code"]) in later, sample["label"]
        else:
            got = (fault.codespace, fault.code, fault.log)
            assert got == (answer["codespace"], answer["code"], answer["log"]), sample["label"]
            said += 1
    assert said >= 39


# --- the worked example (protocol 04 §5) ---------------------------------------------------------

_SEAL_KEY = b"\x11" * 32
# Object id 1 holds "hello", as test-object of the recording does (protocol 03 §6).
_HELLO: list[str] = next(
    a["message"]["expect_checksums"] for a in _ACCEPTED if a["label"].endswith("'test-object'")
)
_OPERATORS = [address_of(bytes([0x21 + r]) * 32) for r in range(6)]
_WORKED_SEAL = MsgSealObject(
    "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A",
    "test-bucket",
    "test-object",
    tuple(_OPERATORS),
    tuple(
        sign_bytes(
            bytes([0x31 + r]) * 32,
            secondary_sign_bytes(_OPERATORS[r], 1, base64.b64decode(_HELLO[r + 1])),
        )
        for r in range(6)
    ),
)
_WORKED_TERMS = TransactionTerms(
    "greenfield_9000-121", 12, 7, 1200, (Coin("BNB", 6_000_000_000_000),)
)


def test_every_hash_of_the_worked_example() -> None:
    typed_data = v0_2.eip712_typed_data(_WORKED_SEAL, _WORKED_TERMS)
    types = typed_data["types"]
    assert encode_type(types, "Tx") == (
        "Tx(uint256 account_number,uint256 chain_id,Fee fee,string memo,Msg msg,uint256 sequence,"
        "uint256 timeout_height)Coin(string denom,uint256 amount)Fee(Coin[] amount,uint256 "
        "gas_limit,string payer,string granter)Msg(string type,string operator,string bucket_name,"
        "string object_name,string[] secondary_sp_addresses,bytes[] secondary_sp_signatures)"
    )
    assert {name: type_hash(types, name).hex() for name in types} == {
        "EIP712Domain": "7202319cae8ecbaae50f3107078979cb41be2857ce7614f76bf4db158bd919a7",
        "Tx": "275edfe4bbc50e8cf342cb6ce0c9cba340aafd5d3854961637f518902af9ac4d",
        "Fee": "cefddb9aeb350314bf75eae303650d7c8fb79468300347ce1f9eb315368fcf8f",
        "Coin": "659ddf766dcad2dc45ae55ab49e24107ea25af081eff64d0162616a765dd5b5e",
        "Msg": "9af5591b0ed8e7445114f4cd94a6870e6e0289299c01e4c89e9ddd372559066f",
    }
    domain = hash_struct(types, "EIP712Domain", typed_data["domain"])
    assert domain.hex() == "70700828a9262c39bc55894dbb5eed611a7c017d7af19fbb31241ee75d54119d"
    message = hash_struct(types, "Tx", typed_data["message"])
    assert message.hex() == "9adfc4dc9750ba917305574fa0caf40497dc917790435daadc16ded24d6e3e22"
    digest = v0_2.eip712_digest(_WORKED_SEAL, _WORKED_TERMS)
    assert digest.hex() == "cb01cb7b024fb63949a80df8bdeeda88e694c4de553d1e3c018526f45677553c"
    assert sign_digest(_SEAL_KEY, digest).hex() == (
        "00a31ffd6e4d01b9350245e7fab1859d71311792776d9fe35068632953e605d5"
        "2faf06f9cc4f6714dacc23cc794df2d94a14f2d3ed41dedecd4313876680c38601"
    )


def test_the_bytes_of_the_worked_example() -> None:
    signed = sign_transaction(
        _DIALECT,
        _WORKED_SEAL,
        private_key=_SEAL_KEY,
        chain_id="greenfield_9000-121",
        account_number=12,
        sequence=7,
        gas_limit=1200,
        fee_amount=6_000_000_000_000,
    )
    message = v0_2.encode_message(_WORKED_SEAL)
    assert (len(message), _sha256(message)) == (
        736,
        "53243f8ab0ce743201fa351d49bf246d87d9196d3544022f7d6e21fc9f6b3780",
    )
    raw = wire.tx.TxRaw.FromString(signed.tx_bytes)
    assert (len(raw.body_bytes), _sha256(raw.body_bytes)) == (
        777,
        "9819960125987dae01d2113f1e3937e07f51807884c62fe03641d77b8c26b051",
    )
    assert raw.auth_info_bytes.hex() == (
        "0a580a4d0a262f636f736d6f732e63727970746f2e6574682e657468736563703235366b312e5075624b6579"
        "12230a21034f355bdcb7cc0af728ef3cceb9615d90684bb5b2ca5f859ab0f0b704075871aa12050a0308c805"
        "180712190a140a03424e42120d3630303030303030303030303010b009"
    )
    assert len(signed.tx_bytes) == 966
    assert signed.tx_hash == "1F84F983C76B711C8FB9E86D62A378C979F49E8830EEE336FC77D962DBD7E76A"


# --- the testnet transaction (protocol 04 §6.1) ----------------------------------------------

_TESTNET = MsgCreateObject(
    creator="0xf58E1Ad63FE22B551Cd488439Df94EA0de985C36",
    bucket_name="www17",
    object_name="helps-2023-05-28 10:37:18.txt",
    payload_size=1480,
    visibility=Visibility.VISIBILITY_TYPE_PRIVATE,
    content_type="text/plain",
    primary_sp_approval=SpApproval(
        92112,
        bytes.fromhex(
            "e661c5bf3d19e33b1f04ae7adbab67f8954865a1fa386bc596cdf7028be4a4e1"
            "273956acacbfbc9524abdbdbef69336f764c16228ad2b2e3ebe7f8fca5fbe65d01"
        ),
    ),
    expect_checksums=tuple(
        map(
            base64.b64decode,
            [
                "omChGhlCYpynxmZ6zU7MCCE7M+f3gexePKA7u3CXGdI=",
                "wUR9+ktnX6nzPHt34fXjAseliC+xBC7T+XDwcStAXI0=",
                "D5D3i2TpKWKHeM6dAU1kL4FV0723HuOAbQy4ljcg8S4=",
                "WNQDsXMp5CUwwHBZlNSzmyArXW2x0rEPShwqsfX7kIE=",
                "bkWWkKsZsXvKsWoW5cUTE2kzjlss0G30iCKBEhXqjUo=",
                "h6zc+ZcqZVLavmoHelwPlxekEo1WJ7NyXNd+YHT5Bzs=",
                "qwWVKbZ0wlso9rBrhy07TYJ1zdHvf4oRmdtkMOq7KCg=",
            ],
        )
    ),
    redundancy_type=RedundancyType.REDUNDANCY_EC_TYPE,
    expect_secondary_sp_addresses=(
        "0x22804504786F44289D4156E7317142e25B92c00e",
        "0x3CFC8b2095DA8F0722412Dc16f8A067942d2c697",
        "0x5E340C0721bD5f49627e7E34eb94bedfA575E993",
        "0x7715d0680fE84cA6d7eaEF6e8A7CAcE29a4C0064",
        "0xa3ac8c0999b73f028122CE609e318c7da09cb752",
        "0xC6fA3F3640e3b594335efAb349abdD4A82C83736",
        "0xE42B5AD90AfF1e8Ad90F76e02541A71Ca9D41A11",
    ),
)
_TESTNET_TERMS = TransactionTerms(
    "greenfield_5600-1", 1530, 92, 1200, (Coin("BNB", 6_000_000_000_000),)
)


def test_the_testnet_transaction_recovers_its_signers() -> None:
    digest = v0_2.eip712_digest(_TESTNET, _TESTNET_TERMS)
    assert digest.hex() == "e85c9b621568ccb3b2529f300bb55002b7908975300d4725a3fede0cb87ec21c"
    signature = bytes.fromhex(
        "270da7b8934123d635a5fe4e8845cab6a5547ce68279b7400f5eed0abe1df9b7"
        "68cfa8e8c485b70293edb6e4ff658e7f984a3d7114515b60ed9d6248aa94806e1c"
    )
    public_key = recover_digest(digest, signature)
    assert public_key.hex() == "02d9ea950b266b5dcc53792059494b772fae02813d83505f0b18ddd344d6b47cd2"
    assert address_of_public_key(public_key) == _TESTNET.creator
    assert _TESTNET.primary_sp_approval is not None
    approver = recover_signer(v0_2.approval_sign_bytes(_TESTNET), _TESTNET.primary_sp_approval.sig)
    assert approver == "0x648848d33938Ab930Da70cC71eda2Bd0175f7150"


def test_the_testnet_transaction_has_its_hash() -> None:
    unsigned = unsigned_for_simulation(
        _DIALECT,
        _TESTNET,
        bytes.fromhex("02d9ea950b266b5dcc53792059494b772fae02813d83505f0b18ddd344d6b47cd2"),
        92,
    )
    raw = wire.tx.TxRaw.FromString(unsigned)
    auth_info = wire.tx.AuthInfo.FromString(raw.auth_info_bytes)
    auth_info.fee.gas_limit = 1200
    auth_info.fee.amount.add(denom="BNB", amount="6000000000000")
    raw.auth_info_bytes = auth_info.SerializeToString()
    raw.signatures[0] = bytes.fromhex(
        "270da7b8934123d635a5fe4e8845cab6a5547ce68279b7400f5eed0abe1df9b7"
        "68cfa8e8c485b70293edb6e4ff658e7f984a3d7114515b60ed9d6248aa94806e1c"
    )
    assert _sha256(raw.SerializeToString()).upper() == (
        "A5BC29AE70FAE714E1325D08CCB006A722F8027FA7EB0830DAB2EAB986DD1821"
    )


# --- what a running provider signed --------------------------------------------------------------


def test_get_approval_of_a_running_provider() -> None:
    recorded = _PROVIDER["get_approval"]
    unsigned = json.loads(bytes.fromhex(recorded["request"]["headers"]["X-Gnfd-Unsigned-Msg"]))
    message = v0_2.message_from_json(unsigned, MsgCreateObject)
    assert isinstance(message, MsgCreateObject)
    answer = json.loads(recorded["signed_msg_text"])["primary_sp_approval"]
    height = int(answer["expired_height"])
    approver = next(sp for sp in _PROVIDER["test_keys"]["sps"])["approval"]
    text = v0_2.approval_sign_bytes(v0_2.with_approval(message, height, b""))
    signature = sign_bytes(bytes.fromhex(approver["private_key"]), text)
    assert base64.b64encode(signature).decode() == answer["sig"]
    signed = v0_2.message_to_json(v0_2.with_approval(message, height, signature))
    assert sorted_compact(signed).decode() == recorded["signed_msg_text"]


def test_seal_transaction_of_a_running_provider() -> None:
    recorded = _PROVIDER["seal_tx"]["decoded"]
    message = v0_2.message_from_json(recorded["msg"], MsgSealObject)
    sealer = next(
        sp["seal"]
        for sp in _PROVIDER["test_keys"]["sps"]
        if sp["seal"]["address"] == recorded["msg"]["operator"]
    )
    signed = sign_transaction(
        _DIALECT,
        message,
        private_key=bytes.fromhex(sealer["private_key"]),
        chain_id=_PROVIDER["chain_id"],
        account_number=recorded["account_number"],
        sequence=recorded["sequence"],
        gas_limit=recorded["gas"],
        fee_amount=recorded["fee"],
        fee_denom=recorded["denom"],
    )
    assert signed.tx_bytes == base64.b64decode(_PROVIDER["seal_tx"]["tx_search"]["tx"])
    assert signed.tx_hash == _PROVIDER["seal_tx"]["tx_search"]["hash"]


# --- traps (protocol 08 §E) ----------------------------------------------------------------------


def test_bytes_are_hashed_as_the_text_of_their_base64() -> None:
    types = {"T": [{"name": "b", "type": "bytes"}]}
    expected = keccak256(keccak256(b"T(bytes b)") + keccak256(b"AQI="))
    assert hash_struct(types, "T", {"b": "AQI="}) == expected


def test_empty_lists_and_bytes_leave_type_and_value() -> None:
    message = replace(
        _TESTNET, expect_secondary_sp_addresses=(), primary_sp_approval=SpApproval(7, b"")
    )
    typed_data = v0_2.eip712_typed_data(message, _TESTNET_TERMS)
    names = [field["name"] for field in typed_data["types"]["Msg"]]
    assert "expect_secondary_sp_addresses" not in names
    assert "expect_secondary_sp_addresses" not in typed_data["message"]["msg"]
    assert typed_data["types"]["TypePrimarySpApproval"] == [
        {"name": "expired_height", "type": "uint64"}
    ]
    assert typed_data["message"]["msg"]["primary_sp_approval"] == {"expired_height": "7"}


def test_a_message_without_an_approval_has_no_such_type() -> None:
    message = replace(_TESTNET, primary_sp_approval=None)
    typed_data = v0_2.eip712_typed_data(message, _TESTNET_TERMS)
    assert "TypePrimarySpApproval" not in typed_data["types"]
    assert "primary_sp_approval" not in typed_data["message"]["msg"]


def test_the_payer_is_the_signer_although_the_transaction_names_none() -> None:
    message = replace(_WORKED_SEAL, operator=_WORKED_SEAL.operator.lower())
    fee = v0_2.eip712_typed_data(message, _WORKED_TERMS)["message"]["fee"]
    assert fee["payer"] == _WORKED_SEAL.operator
    signed = wire.tx.AuthInfo.FromString(
        wire.tx.TxRaw.FromString(
            unsigned_for_simulation(_DIALECT, message, b"\x02" * 33, 0)
        ).auth_info_bytes
    )
    assert signed.fee.payer == ""


def test_create_bucket_skips_field_five() -> None:
    numbers = {f.name: f.number for f in wire.storage.MsgCreateBucket.DESCRIPTOR.fields}
    assert [
        numbers[name]
        for name in ("primary_sp_address", "primary_sp_approval", "charged_read_quota")
    ] == [6, 7, 8]


@pytest.mark.parametrize(
    ("chain_id", "number"),
    [
        ("greenfield_9000-121", 9000),
        ("greenfield_9000-1741", 9000),
        ("greenfield_5600-1", 5600),
        ("greenfield_1017-1", 1017),
    ],
)
def test_the_chain_id_has_a_number(chain_id: str, number: int) -> None:
    assert numeric_chain_id(chain_id) == number


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
