"""What is in a keystore file, in all forms that wallets write, and opening it.

Web3 Secret Storage of version 3, and of version 1 as the first wallets wrote it. Libraries for it
take seconds to load, know version 3 only, and derive keys for as long as a file says.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from greenray.chain.crypto import address_of, keccak256
from greenray.protocol.errors import InvalidInput

_KEY_BYTES = 32
_BLOCK_BYTES = 16
_MAX_MEMORY_BYTES = 1 << 30
"""Four times what wallets take."""
_MAX_SCRYPT_WORK = 1 << 23
"""n * r * p: four times what wallets take, some seconds."""
_MAX_ITERATIONS = 10_000_000
_HEX = re.compile(r"(?:0[xX])?((?:[0-9a-fA-F]{2})*)", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,12}", re.ASCII)


class NotAKeystore(ValueError):
    """The text says what is wrong, and shows nothing of the file's secrets."""


class WrongPassword(ValueError):
    """Or a damaged file: nobody can tell them apart."""


def opened_key(document: Any, password: str) -> bytes:
    """The 32 bytes of the private key in a keystore's JSON.

    Raises: NotAKeystore, WrongPassword.
    """
    keystore = _lowered(document)
    version = str(keystore.get("version", ""))
    if version not in _DECIPHER_BY_VERSION:
        raise NotAKeystore(f"it is a keystore of version {version[:20]!r}, 1 and 3 are known")
    crypto = _section(keystore, "crypto")
    ciphertext, mac = _bytes(crypto, "ciphertext"), _bytes(crypto, "mac")
    derived = _derived(crypto, password.encode())
    if not hmac.compare_digest(keccak256(derived[16:32] + ciphertext), mac):
        raise WrongPassword("wrong password")
    plain = _DECIPHER_BY_VERSION[version](crypto, derived, ciphertext)
    return _checked_key(plain, keystore)


def _checked_key(plain: bytes, keystore: Mapping[str, Any]) -> bytes:
    # Some wallets left out the zeros that a key begins with.
    key = plain.rjust(_KEY_BYTES, b"\0")
    try:
        address = address_of(key)
    except InvalidInput:
        raise NotAKeystore("what is in it is no secp256k1 private key") from None
    said = keystore.get("address")
    if said not in (None, "") and _hex(said) != bytes.fromhex(address[2:]):
        raise NotAKeystore(f"it says that it is of another address than its key, {address}")
    return key


def _derived(crypto: Mapping[str, Any], password: bytes) -> bytes:
    """At least 32 bytes."""
    kdf, params = crypto.get("kdf"), _section(crypto, "kdfparams")
    size_bytes, salt = _number(params, "dklen"), _bytes(params, "salt")
    if not _KEY_BYTES <= size_bytes <= 4 * _KEY_BYTES:
        raise NotAKeystore(f"it derives {size_bytes} bytes, 32 are needed")
    if kdf == "scrypt":
        return _scrypt(params, password, salt, size_bytes)
    if kdf == "pbkdf2":
        return _pbkdf2(params, password, salt, size_bytes)
    raise NotAKeystore(f"its key derivation {str(kdf)[:40]!r} is neither scrypt nor pbkdf2")


def _scrypt(params: Mapping[str, Any], password: bytes, salt: bytes, size_bytes: int) -> bytes:
    n, r, p = (_number(params, name) for name in "nrp")
    if 128 * n * r > _MAX_MEMORY_BYTES or n * r * p > _MAX_SCRYPT_WORK:
        raise NotAKeystore(f"its scrypt (n={n}, r={r}, p={p}) takes more than any wallet's")
    # What scrypt itself takes beside the memory that its numbers say.
    limit = 128 * r * (n + p + 2) + (1 << 20)
    try:
        return hashlib.scrypt(password, salt=salt, n=n, r=r, p=p, maxmem=limit, dklen=size_bytes)
    except (ValueError, OverflowError):
        raise NotAKeystore(f"its scrypt (n={n}, r={r}, p={p}) cannot be computed") from None


def _pbkdf2(params: Mapping[str, Any], password: bytes, salt: bytes, size_bytes: int) -> bytes:
    if params.get("prf") != "hmac-sha256":
        raise NotAKeystore(f"its pbkdf2 uses {str(params.get('prf'))[:40]!r}, not hmac-sha256")
    iterations = _number(params, "c")
    if not 0 < iterations <= _MAX_ITERATIONS:
        raise NotAKeystore(f"its pbkdf2 has {iterations} iterations")
    return hashlib.pbkdf2_hmac("sha256", password, salt, iterations, size_bytes)


def _by_counter(crypto: Mapping[str, Any], derived: bytes, ciphertext: bytes) -> bytes:
    """Version 3."""
    from Crypto.Cipher import AES

    iv = _iv(crypto, "aes-128-ctr")
    if not 0 < len(ciphertext) <= _KEY_BYTES:
        raise NotAKeystore(f"it has {len(ciphertext)} bytes of key, not 32")
    cipher = AES.new(derived[:16], AES.MODE_CTR, nonce=b"", initial_value=iv)
    plain: bytes = cipher.decrypt(ciphertext)
    return plain


def _by_blocks(crypto: Mapping[str, Any], derived: bytes, ciphertext: bytes) -> bytes:
    """Version 1."""
    from Crypto.Cipher import AES

    iv = _iv(crypto, "aes-128-cbc")
    if len(ciphertext) not in (_KEY_BYTES, _KEY_BYTES + _BLOCK_BYTES):
        raise NotAKeystore(f"it has {len(ciphertext)} bytes of key and padding, not 48")
    cipher = AES.new(keccak256(derived[:16])[:16], AES.MODE_CBC, iv=iv)
    padded: bytes = cipher.decrypt(ciphertext)
    padding = padded[-1]
    if not 0 < padding <= _BLOCK_BYTES or padded[-padding:] != bytes([padding]) * padding:
        raise NotAKeystore("what follows its key is no padding")
    return padded[:-padding]


_DECIPHER_BY_VERSION: Mapping[str, Callable[[Mapping[str, Any], bytes, bytes], bytes]] = (
    MappingProxyType({"1": _by_blocks, "3": _by_counter})
)


def _iv(crypto: Mapping[str, Any], cipher: str) -> bytes:
    if crypto.get("cipher") != cipher:
        raise NotAKeystore(f"its cipher {str(crypto.get('cipher'))[:40]!r} is not {cipher}")
    iv = _bytes(_section(crypto, "cipherparams"), "iv")
    if not 0 < len(iv) <= _BLOCK_BYTES:
        raise NotAKeystore(f"its iv has {len(iv)} bytes, not 16")
    return iv.rjust(_BLOCK_BYTES, b"\0")


def _lowered(value: Any) -> dict[str, Any]:
    """With the names in lower case, as some wallets do not write them."""
    if not isinstance(value, dict):
        raise NotAKeystore("it is no JSON object")
    return {str(name).lower(): inner for name, inner in value.items()}


def _section(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    if not isinstance(document.get(name), dict):
        raise NotAKeystore(f"it has no object {name!r}")
    return _lowered(document[name])


def _bytes(document: Mapping[str, Any], name: str) -> bytes:
    found = _hex(document.get(name))
    if found is None:
        raise NotAKeystore(f"its {name!r} is no hexadecimal text")
    return found


def _hex(text: Any) -> bytes | None:
    match = _HEX.fullmatch(text) if isinstance(text, str) else None
    return bytes.fromhex(match[1]) if match else None


def _number(document: Mapping[str, Any], name: str) -> int:
    """Also one that is written as a text."""
    value = document.get(name)
    if isinstance(value, bool) or not _NUMBER.fullmatch(str(value)):
        raise NotAKeystore(f"its {name!r} is no number that could be meant")
    return int(str(value))
