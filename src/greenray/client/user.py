"""Opens a user's client: on a network of this machine, from what its state directory says, or on
any other, from what its chain says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from greenray.chain.dialects import get_dialect
from greenray.chain.keystore import PASSWORD_VARIABLE, KeyRing, first_line, load_key
from greenray.chain.rpc.client import RpcChainClient
from greenray.chain.rpc.settings import FollowSettings
from greenray.chain.secrets import taken_secrets
from greenray.client.access import Access
from greenray.client.network_file import NetworkFile, read_network
from greenray.client.storage_client import StorageClient
from greenray.protocol.errors import (
    InvalidName,
    KeyMissing,
    KeystoreError,
    UnknownStorageProvider,
)

SCHEME = "gnfd://"
"""How other clients of Greenfield write names; it may be left out."""


@asynccontextmanager
async def open_access(access: Access) -> AsyncIterator[StorageClient]:
    """A user's client where ``access`` leads.

    Raises: NotRunning, KeyMissing, KeystoreError, InvalidInput (no such gateway),
    ChainUnavailable, UnknownStorageProvider (the chain knows none that is in service).
    """
    key = access_key(access)
    if not access.chain:
        network = read_network(access.state_dir)
        async with open_client_of(network, key, access.gateway or None) as client:
            yield client
        return
    async with access_chain(access) as chain:
        gateway = access.gateway or await _any_gateway(chain, access.chain)
        client = StorageClient(chain, gateway, key, history=chain, dialect=get_dialect())
        try:
            yield client
        finally:
            await client.close()


@asynccontextmanager
async def access_chain(access: Access) -> AsyncIterator[RpcChainClient]:
    """The chain where ``access`` leads. Raises NotRunning."""
    if not access.chain:
        async with open_chain(read_network(access.state_dir)) as chain:
            yield chain
        return
    chain = RpcChainClient(access.chain, get_dialect(), follow=FollowSettings())
    try:
        yield chain
    finally:
        await chain.close()


def access_key(access: Access) -> bytes:
    """Raises NotRunning, KeyMissing, KeystoreError."""
    if access.key is not None:
        return _keystore_key(access.key, access.password_file, access.ask_password)
    if access.chain:
        raise KeyMissing(
            "a network that is not of this machine has no user of its own",
            access.chain,
            "Name your keystore with --key, GREENRAY_KEY or a profile",
        )
    return user_key(read_network(access.state_dir), None)


async def _any_gateway(chain: RpcChainClient, where: str) -> str:
    """Of a provider that takes new buckets; who has a bucket already is found by it."""
    for provider in await chain.storage_providers():
        if provider.in_service and provider.endpoint:
            return provider.endpoint
    raise UnknownStorageProvider(
        "the chain has no storage provider in service", where, "Name one with --gateway"
    )


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
    return _keystore_key(key_file, None, None)


def _keystore_key(
    file: Path, password_file: Path | None, ask_password: Callable[[Path], str] | None
) -> bytes:
    """The password is in a file, in the environment, or asked for."""
    if not file.is_file():
        raise KeystoreError("there is no such file", str(file), "Name a keystore with --key")
    password = taken_secrets().get(PASSWORD_VARIABLE)
    if password_file is not None:
        password = first_line(password_file)
    elif password is None and ask_password is not None:
        password = ask_password(file)
    if password is None:
        raise KeyMissing("the keystore is encrypted", str(file), f"Set {PASSWORD_VARIABLE}")
    return load_key(file, password)


def split_place(name: str) -> tuple[str, str]:
    """``bucket`` or ``bucket/prefix`` as (bucket, prefix)."""
    bucket, _, prefix = name.removeprefix(SCHEME).partition("/")
    return bucket, prefix


def split_name(name: str) -> tuple[str, str]:
    """``bucket/object``, or ``gnfd://bucket/object``, as (bucket, object). Raises InvalidName."""
    bucket, slash, object_name = name.removeprefix(SCHEME).partition("/")
    if not (bucket and slash and object_name):
        raise InvalidName("is not BUCKET/OBJECT", name, "For example photos/2026/cat.jpg")
    return bucket, object_name
