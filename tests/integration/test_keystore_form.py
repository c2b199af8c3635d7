"""Keystores as wallets write them. Cheap key derivation: what a wallet takes a second for is not
what is looked at here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from Crypto.Cipher import AES
from Crypto.Util.Padding import pad

from greenray.chain.crypto import address_of, keccak256
from greenray.chain.keystore import load_key
from greenray.chain.keystore_form import NotAKeystore, WrongPassword, opened_key
from greenray.protocol.errors import KeystoreError

KEY = bytes(range(1, 33))
PASSWORD = "pässword"
SALT, IV = b"\x05" * 32, b"\x07" * 16

Document = dict[str, Any]


def keystore(key: bytes = KEY, *, version: Any = 3, kdf: str = "scrypt") -> Document:
    """One in the form of version 1 or 3."""
    if kdf == "scrypt":
        params: Document = {"n": 2, "r": 1, "p": 1}
        derived = hashlib.scrypt(PASSWORD.encode(), salt=SALT, n=2, r=1, p=1, dklen=32)
    else:
        params = {"c": 3, "prf": "hmac-sha256"}
        derived = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), SALT, 3, 32)
    if version == 3:
        cipher = "aes-128-ctr"
        start = int.from_bytes(IV, "big")
        ctr = AES.new(derived[:16], AES.MODE_CTR, nonce=b"", initial_value=start)
        ciphertext = ctr.encrypt(key)
    else:
        cipher = "aes-128-cbc"
        cbc = AES.new(keccak256(derived[:16])[:16], AES.MODE_CBC, iv=IV)
        ciphertext = cbc.encrypt(pad(key, 16))
    return {
        "version": version,
        "address": address_of(key.rjust(32, b"\0"))[2:].lower(),
        "crypto": {
            "cipher": cipher,
            "cipherparams": {"iv": IV.hex()},
            "ciphertext": ciphertext.hex(),
            "kdf": kdf,
            "kdfparams": {"dklen": 32, "salt": SALT.hex(), **params},
            "mac": keccak256(derived[16:] + ciphertext).hex(),
        },
    }


def changed(document: Document, *path: str, to: Any) -> Document:
    copy: Document = json.loads(json.dumps(document))
    inner = copy
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = to
    return copy


def in_capitals(value: Any) -> Any:
    if isinstance(value, dict):
        return {name.title(): in_capitals(inner) for name, inner in value.items()}
    return value


def upper_hex(document: Document) -> Document:
    for path in (("mac",), ("ciphertext",), ("kdfparams", "salt"), ("cipherparams", "iv")):
        inner = document["crypto"]
        for name in path[:-1]:
            inner = inner[name]
        inner[path[-1]] = "0X" + inner[path[-1]].upper()
    return changed(document, "address", to="0x" + document["address"].upper())


@pytest.mark.parametrize("kdf", ["scrypt", "pbkdf2"])
@pytest.mark.parametrize("version", [1, 3, "1"])
def test_keystores_of_both_versions_are_opened(version: Any, kdf: str) -> None:
    assert opened_key(keystore(version=version, kdf=kdf), PASSWORD) == KEY


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(in_capitals, id="names with capitals"),
        pytest.param(upper_hex, id="upper-case hex with 0x"),
        pytest.param(lambda d: changed(d, "version", to="3"), id="version as a text"),
        pytest.param(lambda d: changed(d, "crypto", "kdfparams", "n", to="2"), id="n as a text"),
        pytest.param(lambda d: changed(d, "address", to=""), id="no address"),
        pytest.param(lambda d: {k: v for k, v in d.items() if k != "address"}, id="none at all"),
        pytest.param(lambda d: d | {"id": None, "x-ethers": {"a": 1}}, id="with more in it"),
    ],
)
def test_odd_forms_are_opened(odd: Callable[[Document], Document]) -> None:
    assert opened_key(odd(keystore()), PASSWORD) == KEY


def test_a_key_whose_leading_zeros_were_left_out_is_opened() -> None:
    assert opened_key(keystore(b"\x09" * 31), PASSWORD) == b"\0" + b"\x09" * 31


@pytest.mark.parametrize("version", [1, 3])
def test_a_wrong_password_is_told_from_a_wrong_file(version: int) -> None:
    with pytest.raises(WrongPassword):
        opened_key(keystore(version=version), "password")


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("version",), 4, "version '4'"),
        (("version",), None, "version 'None'"),
        (("address",), "00" * 20, "another address"),
        (("address",), 5, "another address"),
        (("crypto",), [], "no object 'crypto'"),
        (("crypto", "kdf"), "bcrypt", "neither scrypt nor pbkdf2"),
        (("crypto", "cipher"), "aes-256-ctr", "is not aes-128-ctr"),
        (("crypto", "mac"), "xyz", "'mac' is no hexadecimal text"),
        (("crypto", "ciphertext"), "abc", "'ciphertext' is no hexadecimal text"),
        (("crypto", "cipherparams"), None, "no object 'cipherparams'"),
        (("crypto", "kdfparams", "dklen"), 16, "16 bytes"),
        (("crypto", "kdfparams", "n"), 3, "cannot be computed"),
        (("crypto", "kdfparams", "n"), -2, "'n' is no number"),
        (("crypto", "kdfparams", "n"), 0, "cannot be computed"),
        (("crypto", "kdfparams", "r"), 0, "cannot be computed"),
        (("crypto", "kdfparams", "n"), True, "'n' is no number"),
        (("crypto", "kdfparams", "n"), 2**30, "takes more than any wallet's"),
        (("crypto", "kdfparams", "p"), 2**24, "takes more than any wallet's"),
        (("crypto", "kdfparams", "salt"), None, "'salt' is no hexadecimal text"),
    ],
)
def test_what_cannot_be_opened_is_refused_with_what_is_wrong(
    path: tuple[str, ...], value: Any, said: str
) -> None:
    with pytest.raises(NotAKeystore, match=said):
        opened_key(changed(keystore(), *path, to=value), PASSWORD)


@pytest.mark.parametrize("count", [0, 10**11])
def test_a_key_derivation_that_would_take_hours_or_nothing_is_refused(count: int) -> None:
    slow = changed(keystore(kdf="pbkdf2"), "crypto", "kdfparams", "c", to=count)
    with pytest.raises(NotAKeystore, match="iterations"):
        opened_key(slow, PASSWORD)


@pytest.mark.parametrize("content", [b"", b"[" * 200_000, b"\xff\xfe", b"[]", b"5", b"null"])
def test_a_file_that_is_no_keystore_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "UTC--2026-01-01T00-00-00.000000000Z--00"
    path.write_bytes(content)
    with pytest.raises(KeystoreError, match="UTC--2026"):
        load_key(path, PASSWORD)


def test_geths_file_names_are_names_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "UTC--2026-01-01T00-00-00.000000000Z--00"
    path.write_text(json.dumps(keystore()))
    assert load_key(path, PASSWORD) == KEY


def test_what_is_no_file_with_keys_is_not_read_for_ever(tmp_path: Path) -> None:
    with pytest.raises(KeystoreError, match="no regular file"):
        load_key(Path("/dev/zero"), PASSWORD)
    large = tmp_path / "large"
    large.write_bytes(b" " * (17 << 20))
    with pytest.raises(KeystoreError, match="too large"):
        load_key(large, PASSWORD)
