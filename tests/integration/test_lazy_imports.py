"""Libraries that change the process must not change ours. In a subprocess: the test session may
have loaded them already."""

from __future__ import annotations

import subprocess
import sys

import pytest

_PROGRAM = """
import json, sys
from greenray.chain.lazy_imports import kept_recursion_limit
with kept_recursion_limit():
    import {library}
try:
    json.loads("[" * 200_000)
except RecursionError:
    print("refused", sys.getrecursionlimit())
"""


@pytest.mark.parametrize("library", ["web3", "eth_account"])
def test_deeply_nested_json_is_refused_after_the_library_is_loaded(library: str) -> None:
    program = _PROGRAM.format(library=library)
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout.split()) == (0, ["refused", "1000"]), ran.stderr


def test_signing_needs_neither_web3_nor_eth_account_nor_ray() -> None:
    program = (
        "import sys\n"
        "from greenray.chain import crypto, keystore\n"
        "from greenray.chain.dialects import get_dialect\n"
        "get_dialect()\n"
        "from greenray.chain.rpc import client\n"
        "from greenray.chain.transactions import signing, user\n"
        "print([m for m in ('web3', 'eth_account', 'ray', 'pydantic') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout.strip()) == (0, "[]"), ran.stderr
