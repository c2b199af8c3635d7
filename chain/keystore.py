"""Keys: encrypted keystore files, and the key ring of the storage providers of a host.

Keystores are eth-account's (Web3 Secret Storage), written atomically with mode 0600. No ``repr``
and no error text ever shows a key.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from greenray.chain.crypto import address_of, to_checksum_address
from greenray.chain.keystore_form import NotAKeystore, WrongPassword, opened_key
from greenray.chain.lazy_imports import kept_recursion_limit
from greenray.protocol.errors import InvalidInput, KeyMissing, KeystoreError

PRIVATE_MODE = 0o600
ENVIRONMENT_PREFIX = "GREENRAY_KEY_"
PASSWORD_VARIABLE = "GREENRAY_KEY_PASSWORD"
PURPOSES = ("operator", "seal", "approval")

_MAX_FILE_BYTES = 16 << 20
_KEY_TEXT = re.compile(r"(?:0x)?([0-9a-fA-F]{64})")
_SP_KEY_NAME = re.compile(r"(?P<sp>.*sp[-_][0-9]+)[-_](?P<purpose>operator|seal|approval)", re.I)


# --- single keys -----------------------------------------------------------------------------


def parse_private_key(text: str, where: str) -> bytes:
    """32 bytes of a hexadecimal key, ``0x`` optional. ``where`` names the source for errors.

    Raises:
        KeystoreError: it is not a secp256k1 private key. The text is not repeated.
    """
    match = _KEY_TEXT.fullmatch(text.strip())
    if match is None:
        raise KeystoreError("a private key is 64 hexadecimal digits", where)
    key = bytes.fromhex(match[1])
    try:
        address_of(key)
    except InvalidInput:
        raise KeystoreError("these digits are not a secp256k1 private key", where) from None
    return key


def new_key(path: Path, password: str) -> str:
    """Make a key, write its keystore and return its address.

    Raises:
        KeystoreError: the file exists, or cannot be written.
    """
    return import_key(path, bytes(_accounts().create().key), password)


def import_key(path: Path, private_key: bytes, password: str) -> str:
    """Write the keystore of a key and return its EIP-55 address. Never overwrites.

    Raises:
        KeystoreError: the file exists, or cannot be written.
        InvalidInput: the bytes are not a private key.
    """
    address = address_of(private_key)
    if path.exists():
        raise KeystoreError("the file exists already", str(path), "Choose another name")
    document = _accounts().encrypt(private_key, password)
    write_private_file(path, json.dumps(document))
    return address


def load_key(path: Path, password: str) -> bytes:
    """The 32-byte private key of a keystore file.

    Raises:
        KeystoreError: missing or unreadable file, not a keystore, or a wrong password.
    """
    document = _read_json(path)
    try:
        return opened_key(document, password)
    except WrongPassword:
        raise KeystoreError("wrong password", str(path)) from None
    except NotAKeystore as error:
        raise KeystoreError(
            f"not a keystore file that can be opened: {error}",
            str(path),
            "Export the key again as a keystore of version 3, or see greenray keys import",
        ) from None


def first_line(path: Path) -> str:
    """Without its end. Raises KeystoreError."""
    try:
        lines = path.expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise KeystoreError(f"cannot read: {reason}", str(path)) from None
    return lines[0] if lines else ""


def _accounts() -> Any:
    # eth-account takes half a second to import; opening a key does not need it.
    with kept_recursion_limit():
        from eth_account import Account
    return Account


def write_private_file(path: Path, text: str) -> None:
    """Make the file ``path``, whole or not at all, for its owner alone.

    Raises:
        KeystoreError: the file exists, or cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise KeystoreError(f"cannot write: {error.strerror}", str(path)) from error
    try:
        with os.fdopen(handle, "w") as file:
            os.fchmod(file.fileno(), PRIVATE_MODE)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # A link fails when somebody else made the file meanwhile; a rename would overwrite it.
        os.link(temporary, path)
    except FileExistsError:
        raise KeystoreError("the file exists already", str(path), "Choose another name") from None
    except OSError as error:
        raise KeystoreError(f"cannot write: {error.strerror}", str(path)) from error
    finally:
        os.unlink(temporary)


def _read_json(path: Path) -> Any:
    try:
        if path.exists() and not path.is_file():
            raise KeystoreError("it is no regular file", str(path), "Name a file with keys")
        with path.open("rb") as file:
            text = file.read(_MAX_FILE_BYTES + 1)
        if len(text) > _MAX_FILE_BYTES:
            raise KeystoreError("it is too large to be a file with keys", str(path))
        return json.loads(text)
    except OSError as error:
        raise KeystoreError(f"cannot read: {error.strerror}", str(path)) from error
    except (ValueError, RecursionError):
        # The cause may quote the file.
        raise KeystoreError("the file is not JSON", str(path)) from None


# --- key rings -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, repr=False)
class SpKeys:
    """The private keys (32 bytes each) that one storage provider signs with (protocol 03 §1)."""

    operator: bytes
    seal: bytes
    approval: bytes

    @property
    def operator_address(self) -> str:
        return address_of(self.operator)

    def __repr__(self) -> str:
        return f"SpKeys(operator_address={self.operator_address!r})"


@dataclass(frozen=True, slots=True, repr=False)
class KeyRing:
    """Keys of the SPs of this host by EIP-55 operator address, and of users by name."""

    sps: Mapping[str, SpKeys] = field(default_factory=dict)
    users: Mapping[str, bytes] = field(default_factory=dict)
    chain_id: str = ""
    source: str = ""

    def __repr__(self) -> str:
        return f"KeyRing({len(self.sps)} SPs, {len(self.users)} users, source={self.source!r})"

    @property
    def sp_addresses(self) -> tuple[str, ...]:
        """In the order of the source."""
        return tuple(self.sps)

    def operator_key(self, sp_address: str) -> bytes:
        """Raises KeyMissing."""
        return self._sp(sp_address).operator

    def seal_key(self, sp_address: str) -> bytes:
        """Raises KeyMissing."""
        return self._sp(sp_address).seal

    def approval_key(self, sp_address: str) -> bytes:
        """Raises KeyMissing."""
        return self._sp(sp_address).approval

    def user_key(self, name: str) -> bytes:
        """Raises KeyMissing."""
        if name not in self.users:
            known = ", ".join(self.users) or "none"
            raise KeyMissing(f"there is no key {name!r}", self.source, f"Known user keys: {known}")
        return self.users[name]

    def only(self, sp_addresses: tuple[str, ...]) -> KeyRing:
        """The ring of some SPs and no users. Raises KeyMissing."""
        wanted = {to_checksum_address(a): self._sp(a) for a in sp_addresses}
        return KeyRing(wanted, {}, self.chain_id, self.source)

    def _sp(self, sp_address: str) -> SpKeys:
        keys = self.sps.get(sp_address) or self.sps.get(to_checksum_address(sp_address))
        if keys is None:
            raise KeyMissing(
                f"there are no keys of the storage provider {sp_address}",
                self.source,
                "Add its operator, seal and approval keys",
            )
        return keys

    @classmethod
    def from_named_keys(
        cls, keys: Mapping[str, bytes], *, chain_id: str = "", source: str = ""
    ) -> KeyRing:
        """Names ``...sp-<number>-operator|seal|approval`` make SPs; all others are users, except
        other purposes of an SP, which this project does not sign with.

        Raises:
            KeyMissing: an SP lacks one of its three keys.
        """
        found: dict[str, dict[str, bytes]] = {}
        users: dict[str, bytes] = {}
        for name, key in keys.items():
            match = _SP_KEY_NAME.fullmatch(name)
            if match:
                found.setdefault(match["sp"], {})[match["purpose"].lower()] = key
            elif not re.search(r"sp[-_][0-9]+[-_]", name, re.I):
                users[name] = key
        sps = {}
        for sp, purposes in found.items():
            missing = [purpose for purpose in PURPOSES if purpose not in purposes]
            if missing:
                raise KeyMissing(
                    f"{sp} has no {' and no '.join(missing)} key",
                    source,
                    f"Add {', '.join(f'{sp}-{purpose}' for purpose in missing)}",
                )
            sp_keys = SpKeys(**purposes)
            sps[sp_keys.operator_address] = sp_keys
        return cls(sps, users, chain_id, source)

    @classmethod
    def open(cls, source: Path | None, environment: Mapping[str, str]) -> KeyRing:
        """Keys as an operator keeps them: a directory of keystores, all with the password in
        ``GREENRAY_KEY_PASSWORD``; a file of plain test keys; or (None) the environment.

        Raises: as the methods below; KeyMissing when there is no password or no key at all.
        """
        if source is None:
            ring = cls.from_environment(environment)
            if not ring.sps and not ring.users:
                raise KeyMissing(
                    "there are no keys",
                    "the environment",
                    f"Name a key file or a directory of keystores, or set {ENVIRONMENT_PREFIX}...",
                )
            return ring
        if not source.is_dir():
            return cls.from_key_file(source)
        password = environment.get(PASSWORD_VARIABLE)
        if password is None:
            raise KeyMissing("the keystores are encrypted", str(source), f"Set {PASSWORD_VARIABLE}")
        return cls.from_keystore_directory(source, lambda path: password)

    @classmethod
    def from_key_file(cls, path: Path | str) -> KeyRing:
        """A JSON file with ``chain_id`` (or ``chain.chain_id``) and ``keys``: name to an object
        with ``private_key`` (hex). Other fields are ignored.

        Raises:
            KeystoreError: unreadable, or not of that form.
            KeyMissing: an SP lacks one of its three keys.
        """
        path = Path(path)
        document = _read_json(path)
        entries = document.get("keys") if isinstance(document, dict) else None
        if not isinstance(entries, dict):
            raise KeystoreError("the file has no object 'keys'", str(path))
        chain = document.get("chain")
        nested = chain.get("chain_id") if isinstance(chain, dict) else None
        chain_id = document.get("chain_id", nested)
        if not isinstance(chain_id, str):
            raise KeystoreError("the file has no text 'chain_id'", str(path))
        keys = {}
        for name, entry in entries.items():
            text = entry.get("private_key") if isinstance(entry, dict) else None
            if not isinstance(text, str):
                raise KeystoreError(f"key {name!r} has no text 'private_key'", str(path))
            keys[name] = parse_private_key(text, f"{path}, key {name!r}")
        return cls.from_named_keys(keys, chain_id=chain_id, source=str(path))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> KeyRing:
        """Development only: ``GREENRAY_KEY_SP_0_OPERATOR`` and so on, ``GREENRAY_KEY_USER_0``.

        Raises:
            KeystoreError: a value is not a private key.
            KeyMissing: an SP lacks one of its three keys.
        """
        keys = {
            name.removeprefix(ENVIRONMENT_PREFIX).lower().replace("_", "-"): parse_private_key(
                text, f"environment variable {name}"
            )
            for name, text in environment.items()
            if name.startswith(ENVIRONMENT_PREFIX) and name != PASSWORD_VARIABLE
        }
        return cls.from_named_keys(keys, source="the environment")

    @classmethod
    def from_keystore_directory(
        cls, directory: Path | str, password_of: Callable[[Path], str]
    ) -> KeyRing:
        """Keystore files ``<name>.json``, named as in ``from_named_keys``.

        ``password_of`` is asked for each file.

        Raises:
            KeystoreError: no directory, no keystores in it, not a keystore, a wrong password.
            KeyMissing: an SP lacks one of its three keys.
        """
        directory = Path(directory)
        paths = sorted(directory.glob("*.json"))
        if not paths:
            raise KeystoreError(
                "there are no keystore files (*.json)",
                str(directory),
                "Name each for what it signs: sp-0-operator.json, sp-0-seal.json, "
                "sp-0-approval.json; geth's names (UTC--...) do not tell",
            )
        keys = {path.stem: load_key(path, password_of(path)) for path in paths}
        return cls.from_named_keys(keys, source=str(directory))
