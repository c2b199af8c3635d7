"""Opens a user's client on a running network, from what its state directory says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from greenray.chain.dialects import get_dialect
from greenray.chain.keystore import PASSWORD_VARIABLE, KeyRing, load_key
from greenray.chain.rpc.client import RpcChainClient
from greenray.chain.rpc.settings import FollowSettings
from greenray.chain.secrets import taken_secrets
from greenray.client.network_file import NetworkFile
from greenray.client.storage_client import StorageClient
from greenray.protocol.errors import InvalidName, KeyMissing, KeystoreError


@asynccontextmanager
async def open_client(
    network: NetworkFile, key_file: Path | None = None, gateway: str | None = None
) -> AsyncIterator[StorageClient]:
    """A user whose keystore ``key_file`` is, else the network's own, at the SP with the endpoint
    ``gateway``, else the first one.

    Raises: KeyMissing, KeystoreError, ChainUnavailable, InvalidInput (no such gateway).
    """
    async with open_client_of(network, user_key(network, key_file), gateway) as client:
        yield client


@asynccontextmanager
async def open_client_of(
    network: NetworkFile, key: bytes, gateway: str | None = None
) -> AsyncIterator[StorageClient]:
    """``open_client`` of the user whose private key is ``key``."""
    endpoints = network.endpoints(gateway)
    own = {endpoint: address for address, endpoint in endpoints.items()}
    entrance = gateway or next(iter(own))
    async with open_chain(network) as chain:
        client = StorageClient(
            chain,
            entrance,
            key,
            sp_address=own[entrance],
            endpoints=endpoints,
            history=chain,
            dialect=get_dialect(network.dialect),
        )
        try:
            yield client
        finally:
            await client.close()


@asynccontextmanager
async def open_chain(network: NetworkFile) -> AsyncIterator[RpcChainClient]:
    """The network's chain, whose answers are held to what was seen of it before."""
    chain = RpcChainClient(
        network.chain_endpoint, get_dialect(network.dialect), follow=FollowSettings()
    )
    try:
        yield chain
    finally:
        await chain.close()


def user_key(network: NetworkFile, key_file: Path | None) -> bytes:
    """The key in the keystore ``key_file``, else that of the network's own user.

    Raises: KeyMissing, KeystoreError.
    """
    if key_file is None:
        keys = Path(network.keys) if network.keys else None
        if not network.user_key_name:
            raise KeyMissing(
                "the network has no user of its own", network.keys, "Name a keystore with --key"
            )
        return KeyRing.open(keys, taken_secrets()).user_key(network.user_key_name)
    if not key_file.is_file():
        raise KeystoreError("there is no such file", str(key_file), "Name a keystore with --key")
    password = taken_secrets().get(PASSWORD_VARIABLE)
    if password is None:
        raise KeyMissing("the keystore is encrypted", str(key_file), f"Set {PASSWORD_VARIABLE}")
    return load_key(key_file, password)


def split_name(name: str) -> tuple[str, str]:
    """``bucket/object`` as (bucket, object). Raises InvalidName."""
    bucket, slash, object_name = name.partition("/")
    if not (bucket and slash and object_name):
        raise InvalidName("is not BUCKET/OBJECT", name, "For example photos/2026/cat.jpg")
    return bucket, object_name
