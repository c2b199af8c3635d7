"""A small embedded chain for tests: named keys, a genesis of seven providers, signed messages,
and the server as a process of its own."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypedDict, TypeVar, Unpack

from greenray.chain.crypto import address_of, keccak256, sign_digest
from greenray.chain.dialects import get_local_dialect
from greenray.chain.dialects import v0_2 as dialect
from greenray.chain.local.ledger.genesis import (
    Genesis,
    GenesisProvider,
    build_genesis,
    genesis_to_json,
)
from greenray.chain.transactions.signing import sign_transaction
from greenray.protocol.integrity import secondary_sign_bytes
from greenray.protocol.objects import Visibility

CHAIN_ID = "greenfield_9000-7"
FOREVER = 10**9
CHECKSUMS = tuple(hashlib.sha256(bytes([i])).digest() for i in range(7))
BUCKET = "fault-bucket"

Approved = TypeVar(
    "Approved", bound=dialect.MsgCreateBucket | dialect.MsgCreateObject | dialect.MsgCopyObject
)


class Terms(TypedDict, total=False):
    """What ``signed`` works out, where a test wants something else."""

    chain_id: str
    account_number: int
    gas_limit: int
    fee_amount: int
    timeout_height: int


def key(name: str) -> bytes:
    return hashlib.sha256(f"local chain {name}".encode()).digest()


def address(name: str) -> str:
    return address_of(key(name))


def genesis_provider(
    address_in: Callable[[str], str], endpoint: str = "http://127.0.0.1:1"
) -> GenesisProvider:
    """``address_in``: the provider's address in a role (operator, funding, seal, approval, gc)."""
    return GenesisProvider(
        operator_address=address_in("operator"),
        funding_address=address_in("funding"),
        seal_address=address_in("seal"),
        approval_address=address_in("approval"),
        gc_address=address_in("gc"),
        endpoint=endpoint,
    )


def small_genesis(overrides: dict[str, Any] | None = None, **changes: Any) -> Genesis:
    def numbered(index: int) -> GenesisProvider:
        return genesis_provider(lambda role: address(f"sp-{index}-{role}"))

    providers = [numbered(index) for index in range(7)]
    return build_genesis(
        providers,
        [address("user")],
        fixed_gas=get_local_dialect().fixed_gas,
        chain_id=CHAIN_ID,
        overrides=overrides,
        **changes,
    )


def account_number(genesis: Genesis, name: str) -> int:
    return next(a.account_number for a in genesis.accounts if a.address == address(name))


def signed(
    genesis: Genesis,
    name: str,
    message: dialect.Message,
    sequence: int,
    **changes: Unpack[Terms],
) -> bytes:
    """A transaction of a named key that pays exactly what it must."""
    gas = genesis.gas[dialect.type_url(message)]
    terms: Terms = {
        "chain_id": genesis.chain_id,
        "account_number": account_number(genesis, name),
        "gas_limit": gas,
        "fee_amount": gas * genesis.min_gas_price,
    }
    terms.update(changes)
    return sign_transaction(
        dialect, message, private_key=key(name), sequence=sequence, **terms
    ).tx_bytes


def create_bucket(name: str = BUCKET, sp: int = 0) -> dialect.MsgCreateBucket:
    message = dialect.MsgCreateBucket(
        creator=address("user"),
        bucket_name=name,
        visibility=Visibility.VISIBILITY_TYPE_PRIVATE,
        primary_sp_address=address(f"sp-{sp}-operator"),
        primary_sp_approval=dialect.SpApproval(FOREVER),
    )
    return approved(message, sp)


def create_object(
    name: str, bucket: str = BUCKET, payload_size: int = 5, sp: int = 0
) -> dialect.MsgCreateObject:
    message = dialect.MsgCreateObject(
        creator=address("user"),
        bucket_name=bucket,
        object_name=name,
        payload_size=payload_size,
        visibility=Visibility.VISIBILITY_TYPE_INHERIT,
        content_type="text/plain",
        primary_sp_approval=dialect.SpApproval(FOREVER),
        expect_checksums=CHECKSUMS,
    )
    return approved(message, sp)


def seal_object(name: str, object_id: int, bucket: str = BUCKET) -> dialect.MsgSealObject:
    """Sealed by provider 0 with providers 1 to 6."""
    secondaries = tuple(address(f"sp-{i}-operator") for i in range(1, 7))
    documents = [
        secondary_sign_bytes(secondary, object_id, CHECKSUMS[index + 1])
        for index, secondary in enumerate(secondaries)
    ]
    signatures = tuple(
        sign_digest(key(f"sp-{index + 1}-approval"), keccak256(document))
        for index, document in enumerate(documents)
    )
    return dialect.MsgSealObject(address("sp-0-seal"), bucket, name, secondaries, signatures)


def approved(message: Approved, sp: int, expired_height: int = FOREVER) -> Approved:
    unsigned = dialect.with_approval(message, expired_height, b"")
    digest = keccak256(dialect.approval_sign_bytes(unsigned))
    sig = sign_digest(key(f"sp-{sp}-approval"), digest)
    return dialect.with_approval(message, expired_height, sig)


class ChainProcess:
    """``python -m greenray.chain.local`` and a small client of it."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "greenray.chain.local",
                "--home",
                str(home),
                "--port",
                "0",
                *arguments,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(self.process.communicate()[1])
        self.started: dict[str, Any] = json.loads(line)
        self.endpoint: str = self.started["endpoint"]

    def rpc(self, method: str, **params: Any) -> dict[str, Any]:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        posted = urllib.request.Request(self.endpoint + "/", json.dumps(request).encode())
        with urllib.request.urlopen(posted, timeout=30) as response:
            answer: dict[str, Any] = json.loads(response.read())
        return answer

    def broadcast(self, tx_bytes: bytes, how: str = "sync") -> dict[str, Any]:
        return self.rpc(f"broadcast_tx_{how}", tx=base64.b64encode(tx_bytes).decode())

    def kill(self) -> None:
        self.process.kill()
        self._close()

    def stop(self) -> int:
        self.process.terminate()
        return self._close()

    def _close(self) -> int:
        code = self.process.wait(timeout=30)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        return code


def write_genesis(path: Path, genesis: Genesis | None = None) -> Path:
    path.write_text(json.dumps(genesis_to_json(genesis or small_genesis())))
    return path


def run_to_failure(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """A start that must fail."""
    return subprocess.run(
        [sys.executable, "-m", "greenray.chain.local", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
