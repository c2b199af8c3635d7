"""The key file of a network: names as on the reference network, ``greenray-sp-0-seal`` and so on.

For a local network the keys are made at its first start; they are worth nothing elsewhere. For an
existing chain the file is given by whoever runs that chain.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from greenray.chain.crypto import address_of

SP_PURPOSES = ("operator", "funding", "seal", "approval", "gc")
USER_KEY_NAME = "greenray-user-0"
LOCAL_CHAIN_ID = "greenfield_9000-121"


def make_key_file(path: Path, sps: int) -> None:
    """Write fresh random keys for ``sps`` providers and one user; readable by the owner only."""
    names = [f"greenray-sp-{i}-{purpose}" for i in range(sps) for purpose in SP_PURPOSES]
    keys = {}
    for name in [*names, USER_KEY_NAME]:
        private_key = secrets.token_bytes(32)
        keys[name] = {"private_key": private_key.hex(), "address": address_of(private_key)}
    document = {"chain_id": LOCAL_CHAIN_ID, "keys": keys}
    temporary = path.with_suffix(".tmp")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        json.dump(document, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def addresses(key_file: Path) -> Mapping[str, str]:
    """Key name to EIP-55 address."""
    document = json.loads(key_file.read_text())
    return {
        name: address_of(bytes.fromhex(entry["private_key"].removeprefix("0x")))
        for name, entry in document["keys"].items()
    }
