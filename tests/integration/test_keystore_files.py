"""Keystore files: made, opened, and read as the keys of a host. Each one derives a key."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from greenray.chain.crypto import address_of
from greenray.chain.keystore import (
    PASSWORD_VARIABLE,
    PURPOSES,
    KeyRing,
    import_key,
    load_key,
    new_key,
)
from greenray.client.network_file import GatewayAddress, NetworkFile
from greenray.client.user import open_client
from greenray.protocol.errors import KeyMissing, KeystoreError
from greenray.storage.file_location import FileLocation

KEY = b"\x11" * 32


def test_a_key_comes_back_with_the_right_password_only(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "seal.json"
    assert import_key(path, KEY, "correct horse") == address_of(KEY)
    assert load_key(path, "correct horse") == KEY
    with pytest.raises(KeystoreError, match="wrong password"):
        load_key(path, "wrong")


def test_a_keystore_is_for_its_owner_only_and_leaves_nothing_else_behind(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        address = new_key(tmp_path / "new.json", "password")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "new.json").stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["new.json"]
    assert address_of(load_key(tmp_path / "new.json", "password")) == address


def test_a_keystore_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    import_key(path, KEY, "password")
    before = path.read_bytes()
    with pytest.raises(KeystoreError, match="exists already"):
        import_key(path, b"\x12" * 32, "password")
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "5", '{"crypto": 5, "version": 3}', '{"version": 3}']
)
def test_what_is_no_keystore_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "key.json"
    path.write_text(text)
    with pytest.raises(KeystoreError, match=str(path)):
        load_key(path, "password")


def test_a_missing_keystore_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeystoreError, match="no-such"):
        load_key(tmp_path / "no-such.json", "password")


def test_keys_come_from_a_directory_of_keystores(tmp_path: Path) -> None:
    names = [*(f"greenray-sp-0-{purpose}" for purpose in PURPOSES), "greenray-user-0"]
    for name, key in ((name, bytes([i + 1]) * 32) for i, name in enumerate(names)):
        import_key(tmp_path / f"{name}.json", key, f"password of {name}")
    ring = KeyRing.from_keystore_directory(tmp_path, lambda path: f"password of {path.stem}")
    assert ring.sp_addresses == (address_of(b"\x01" * 32),)
    with pytest.raises(KeystoreError, match="no keystore files"):
        KeyRing.from_keystore_directory(tmp_path / "elsewhere", lambda path: "")


def test_keys_are_opened_from_wherever_an_operator_keeps_them(tmp_path: Path) -> None:
    plain = tmp_path / "keys.json"
    keys = {f"sp-0-{purpose}": bytes([i + 1]) * 32 for i, purpose in enumerate(PURPOSES)}
    entries = {name: {"private_key": key.hex()} for name, key in keys.items()}
    plain.write_text(json.dumps({"chain_id": "greenfield_9000-121", "keys": entries}))
    directory = tmp_path / "keystores"
    for name, key in keys.items():
        import_key(directory / f"{name}.json", key, "secret")
    variables = {
        f"GREENRAY_KEY_SP_0_{purpose.upper()}": keys[f"sp-0-{purpose}"].hex()
        for purpose in PURPOSES
    }
    rings = [
        KeyRing.open(plain, {}),
        KeyRing.open(directory, {PASSWORD_VARIABLE: "secret"}),
        KeyRing.open(None, {**variables, PASSWORD_VARIABLE: "is no key"}),
    ]
    assert rings[0].sps == rings[1].sps == rings[2].sps


def test_keystores_without_a_password_and_no_keys_at_all_say_what_to_set(tmp_path: Path) -> None:
    import_key(tmp_path / "sp-0-operator.json", bytes([1]) * 32, "secret")
    with pytest.raises(KeyMissing, match=PASSWORD_VARIABLE):
        KeyRing.open(tmp_path, {})
    with pytest.raises(KeyMissing, match="GREENRAY_KEY_"):
        KeyRing.open(None, {})


@pytest.mark.parametrize("name", ["missing.json", "."])
async def test_a_users_keystore_that_is_not_there_is_said_to_be_missing_not_encrypted(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    network = NetworkFile(
        pid=1,
        chain_endpoint="http://127.0.0.1:1",
        chain_id="greenfield_9000-121",
        dialect="v0_2",
        gateways=(GatewayAddress("0xabc", "http://127.0.0.1:1", "uploader-0", "node-1"),),
        keys="",
        user_key_name="",
        started_at=1.0,
        pieces=FileLocation(tmp_path / "pieces"),
        ray_address="",
        ray_namespace="",
    )
    with pytest.raises(KeystoreError, match="there is no such file"):
        async with open_client(network, tmp_path / name):
            pass
