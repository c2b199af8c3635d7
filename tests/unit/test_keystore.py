from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from greenray.chain.crypto import address_of
from greenray.chain.keystore import (
    KeyRing,
    SpKeys,
    parse_private_key,
)
from greenray.protocol.errors import GreenrayError, InvalidInput, KeyMissing, KeystoreError

RECORDING = Path(__file__).parents[1] / "vectors" / "data" / "chain-v0_2.json"
KEY = b"\x11" * 32


def _named_keys(*, sps: int = 2, users: int = 1) -> dict[str, bytes]:
    names = [f"greenray-sp-{i}-{p}" for i in range(sps) for p in ("operator", "seal", "approval")]
    names += [f"greenray-user-{i}" for i in range(users)]
    return {name: bytes([i + 1]) * 32 for i, name in enumerate(names)}


def _key_file(path: Path, keys: dict[str, bytes], **fields: Any) -> Path:
    entries = {name: {"private_key": key.hex(), "address": "ignored"} for name, key in keys.items()}
    path.write_text(json.dumps({"keys": entries, "chain_id": "greenfield_9000-121"} | fields))
    return path


# --- key rings -----------------------------------------------------------------------------------


def test_the_key_file_of_the_recorded_network_gives_its_seven_providers() -> None:
    ring = KeyRing.from_key_file(RECORDING)
    keys = json.loads(RECORDING.read_text())["keys"]
    assert ring.chain_id == "greenfield_9000-121"
    assert ring.sp_addresses == tuple(
        keys[f"greenray-sp-{i}-operator"]["address"] for i in range(7)
    )
    for i, sp in enumerate(ring.sp_addresses):
        assert address_of(ring.operator_key(sp)) == sp
        assert address_of(ring.seal_key(sp)) == keys[f"greenray-sp-{i}-seal"]["address"]
        assert address_of(ring.approval_key(sp)) == keys[f"greenray-sp-{i}-approval"]["address"]
    assert address_of(ring.user_key("greenray-user-0")) == keys["greenray-user-0"]["address"]


def test_an_sp_is_found_however_its_address_is_written() -> None:
    ring = KeyRing.from_named_keys(_named_keys())
    (first, _) = ring.sp_addresses
    assert ring.seal_key(first.lower()) == ring.seal_key(first[2:].upper()) == ring.seal_key(first)
    with pytest.raises(KeyMissing, match="no keys of the storage provider"):
        ring.seal_key("0x" + "77" * 20)
    with pytest.raises(KeyMissing, match="greenray-user-0"):
        ring.user_key("nobody")


def test_a_host_gets_the_keys_of_its_own_providers_only() -> None:
    ring = KeyRing.from_named_keys(_named_keys())
    (first, second) = ring.sp_addresses
    mine = ring.only((second,))
    assert mine.sp_addresses == (second,)
    assert mine.users == {}
    with pytest.raises(KeyMissing):
        mine.operator_key(first)


@pytest.mark.parametrize("purpose", ["operator", "seal", "approval"])
def test_a_provider_without_one_of_its_keys_is_named(purpose: str) -> None:
    keys = _named_keys()
    del keys[f"greenray-sp-1-{purpose}"]
    with pytest.raises(KeyMissing, match=f"greenray-sp-1 has no {purpose} key"):
        KeyRing.from_named_keys(keys, source="keys.json")


def test_keys_come_from_the_environment() -> None:
    environment = {"PATH": "/bin", "GREENRAY_CHAIN_ENDPOINT": "http://127.0.0.1:1"}
    for name, key in _named_keys(sps=1).items():
        suffix = name.removeprefix("greenray-").upper().replace("-", "_")
        environment[f"GREENRAY_KEY_{suffix}"] = "0x" + key.hex()
    ring = KeyRing.from_environment(environment)
    assert ring.sp_addresses == (address_of(b"\x01" * 32),)
    assert ring.user_key("user-0") == b"\x04" * 32


def test_the_chain_id_may_be_nested(tmp_path: Path) -> None:
    path = _key_file(tmp_path / "k.json", _named_keys(), chain_id=None, chain={"chain_id": "x_1-1"})
    document = json.loads(path.read_text())
    del document["chain_id"]
    path.write_text(json.dumps(document))
    assert KeyRing.from_key_file(path).chain_id == "x_1-1"


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ("no json", "not JSON"),
        ("[]", "no object 'keys'"),
        ('{"keys": {}}', "chain_id"),
        ('{"keys": {"a": "x"}, "chain_id": "x_1-1"}', "key 'a' has no text 'private_key'"),
        ('{"keys": {"a": {"private_key": "12"}}, "chain_id": "x_1-1"}', "64 hexadecimal digits"),
        (
            '{"keys": {"a": {"private_key": "%s"}}, "chain_id": "x_1-1"}' % ("ff" * 32),
            "not a secp256k1 private key",
        ),
    ],
)
def test_a_key_file_of_another_form_is_refused(tmp_path: Path, document: str, problem: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(document)
    with pytest.raises(KeystoreError, match=problem):
        KeyRing.from_key_file(path)


# --- secrecy ---------------------------------------------------------------------------------


def test_no_repr_shows_a_key() -> None:
    ring = KeyRing.from_named_keys(_named_keys())
    keys = SpKeys(b"\x01" * 32, b"\x02" * 32, b"\x03" * 32)
    for shown in (repr(ring), str(ring), f"{keys}", repr([ring, keys]), repr({"k": keys})):
        for secret in ("\\x01\\x01", "0101", "\\x02", "0202"):
            assert secret not in shown


@pytest.mark.parametrize("text", ["11" * 31, "0x" + "11" * 33, "zz" * 32, "00" * 32, "ff" * 32])
def test_a_malformed_key_is_not_repeated_in_the_error(text: str) -> None:
    with pytest.raises(GreenrayError) as raised:
        parse_private_key(text, "setting x")
    assert text not in str(raised.value)
    assert raised.value.__cause__ is None
    assert isinstance(raised.value, KeystoreError | InvalidInput)
