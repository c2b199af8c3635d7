"""Secrets that come by the environment, where children inherit them and ``ps e`` shows them."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

from greenray.chain.keystore import ENVIRONMENT_PREFIX

_taken: dict[str, str] = {}


def taken_secrets() -> Mapping[str, str]:
    """The variables with keys, and with the password of keystores, of this process; the
    environment has them no longer, neither as children would inherit it nor as /proc shows it."""
    for name in [name for name in os.environ if name.startswith(ENVIRONMENT_PREFIX)]:
        _taken[name] = os.environ[name]
        _wipe(name)
        del os.environ[name]
    return MappingProxyType(_taken)


@contextmanager
def secrets_for_children() -> Iterator[None]:
    """What is started meanwhile inherits them: Ray's servers, which give them to the Signer's
    process, also when they start it again."""
    secrets = taken_secrets()
    os.environ.update(secrets)
    try:
        yield
    finally:
        taken_secrets()


def environment_without_secrets() -> dict[str, str]:
    """For a child that needs none."""
    return {n: value for n, value in os.environ.items() if not n.startswith(ENVIRONMENT_PREFIX)}


def forget_secrets() -> None:
    """Of a process that has inherited them and needs none."""
    taken_secrets()
    _taken.clear()


def _wipe(name: str) -> None:
    """Overwrite the value where the process got it."""
    library = ctypes.CDLL(None)
    library.getenv.restype = ctypes.c_void_p
    place = library.getenv(os.fsencode(name))
    if place is not None:
        ctypes.memset(place, 0, len(os.fsencode(os.environ[name])))
