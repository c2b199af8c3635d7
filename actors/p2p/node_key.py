"""The key of a P2P node: 64 hexadecimal digits in a file, as Go providers have in their
configuration. It says which peer this is and signs nothing of an SP."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from greenray.chain.crypto import public_key_of
from greenray.chain.keystore import parse_private_key, write_private_file
from greenray.protocol.errors import KeystoreError
from greenray.protocol.peers import peer_id_of


def node_key(path: Path) -> bytes:
    """The 32-byte key in ``path``; it is made with mode 0600 when there is none.

    Raises:
        KeystoreError: the file cannot be read or written, is no key, or others may read it.
    """
    try:
        with path.open(encoding="ascii", errors="replace") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(1024)
    except FileNotFoundError:
        return _make(path)
    except OSError as error:
        raise KeystoreError(f"cannot read: {error.strerror}", str(path)) from error
    if mode & 0o077:
        raise KeystoreError(
            f"others may read the key (mode {mode:04o})", str(path), f"chmod 600 {path}"
        )
    return parse_private_key(text, str(path))


def peer_id_of_key(private_key: bytes) -> str:
    """The peer id of a node with this key."""
    return peer_id_of(public_key_of(private_key))


def _make(path: Path) -> bytes:
    key = secrets.token_bytes(32)
    write_private_file(path, key.hex() + "\n")
    return key
