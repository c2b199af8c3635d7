"""The key file of a P2P node, on a disk."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from greenray.actors.p2p.node_key import node_key, peer_id_of_key
from greenray.protocol.errors import KeystoreError
from greenray.protocol.peers import public_key_in


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "p2p.key"
    key = node_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert node_key(path) == key
    assert len(public_key_in(peer_id_of_key(key))) == 33


def test_a_key_of_a_go_providers_configuration_is_read(tmp_path: Path) -> None:
    path = tmp_path / "p2p.key"
    path.write_text("12" * 32)
    path.chmod(0o600)
    peer_id = "16Uiu2HAmKLvRDEvWsHTgSqBLqfycQtM3CUj6KU51MnozfELMeXev"
    assert peer_id_of_key(node_key(path)) == peer_id


@pytest.mark.parametrize("text", ["", "12" * 31, "zz" * 32, "00" * 32, "12" * 32 + "\nmore"])
def test_a_file_that_is_no_key_is_named_and_left(tmp_path: Path, text: str) -> None:
    path = tmp_path / "p2p.key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(KeystoreError, match=str(path)) as raised:
        node_key(path)
    assert "zz" not in str(raised.value.what)
    assert path.read_text() == text


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p2p.key"
    path.write_text("12" * 32)
    path.chmod(0o644)
    with pytest.raises(KeystoreError, match="chmod 600"):
        node_key(path)


def test_a_directory_at_the_keys_place_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeystoreError, match=str(tmp_path)):
        node_key(tmp_path)
