"""Opens a user's client on a running network, from what its state directory says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from chain.client import RpcChainClient
from chain.dialects import get_dialect
from chain.keystore import KeyRing
from cluster.client import StorageClient
from cluster.state_dir import NetworkFile, StateDir
from protocol.errors import InvalidName


@asynccontextmanager
async def open_client(network: NetworkFile) -> AsyncIterator[StorageClient]:
    """The network's user at its first SP. Raises KeyMissing, KeystoreError, ChainUnavailable."""
    chain = RpcChainClient(network.chain_endpoint, get_dialect(network.dialect))
    key = KeyRing.from_key_file(network.keys_file).user_key(network.user_key_name)
    endpoints = {g.operator_address: g.endpoint for g in network.gateways}
    first = network.gateways[0]
    client = StorageClient(
        chain,
        first.endpoint,
        key,
        sp_address=first.operator_address,
        endpoints=endpoints,
        dialect=get_dialect(network.dialect),
    )
    try:
        yield client
    finally:
        await client.close()
        await chain.close()


def running_network(state_dir: Path) -> NetworkFile:
    """Raises NotRunning."""
    return StateDir(state_dir).read_network()


def split_name(name: str) -> tuple[str, str]:
    """``bucket/object`` as (bucket, object). Raises InvalidName."""
    bucket, slash, object_name = name.partition("/")
    if not (bucket and slash and object_name):
        raise InvalidName("is not BUCKET/OBJECT", name, "For example photos/2026/cat.jpg")
    return bucket, object_name
