"""What importing brings with it, and that it does not change the process. In a subprocess: the test
session may have loaded it already."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from greenray.cli.app import COMMANDS

ROOT = Path(__file__).parents[2]

_CLIENT = Path(__file__).parents[2] / "src" / "greenray" / "client"
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


def test_a_receivers_process_loads_no_http_library_for_its_scrubber() -> None:
    program = (
        "import sys\n"
        "from greenray.cluster.roles import receiver, scrubber\n"
        "print([m for m in ('aiohttp', 'web3', 'ray', 'pydantic') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout.strip()) == (0, "[]"), ran.stderr


def test_the_clients_room_loads_neither_ray_nor_web3_nor_servers() -> None:
    modules = sorted(path.stem for path in _CLIENT.glob("*.py"))
    program = (
        "import sys\n"
        f"from greenray.client import {', '.join(m for m in modules if m != '__init__')}\n"
        "forbidden = ('ray', 'web3', 'pydantic', 'greenray.actors', 'greenray.cluster')\n"
        "print([name for name in forbidden if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout.strip()) == (0, "[]"), ran.stderr


_OF_A_CLIENT = {
    *("aiohttp", "aiohappyeyeballs", "aiosignal", "attr", "frozenlist", "idna", "multidict"),
    *("propcache", "yarl", "google", "typer", "shellingham", "annotated_doc", "annotated_types"),
    *("typing_extensions", "coincurve", "_libsecp256k1", "_cffi_backend", "btclib_libsecp256k1"),
    *("eth_hash", "sha3", "_pysha3", "greenray"),
}
"""Packages that what a client's command does may load before it asks anybody."""


_COMMANDS_OF_CLIENTS = "bank, bundle, delete, discontinue, get, profile, put, status"


def test_a_clients_commands_load_few_packages_until_they_know_what_to_do() -> None:
    program = (
        "import sys\n"
        "before = set(sys.modules)\n"
        f"from greenray.cli import app, transfer, {_COMMANDS_OF_CLIENTS}\n"
        "from greenray.client import user, payload_io, download_sources\n"
        "names = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(*sorted(names - sys.stdlib_module_names))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    loaded = {name for name in ran.stdout.split() if "cython" not in name}
    assert loaded <= _OF_A_CLIENT


def test_pictures_cost_nothing_until_they_are_drawn() -> None:
    code = "import sys, greenray.cli.app, greenray.bench.plans; print('matplotlib' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"


def test_help_names_every_command_without_loading_any() -> None:
    script = (
        "import sys; sys.argv = ['greenray', '--help']\n"
        "from greenray.__main__ import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'ray', 'numpy', 'web3', 'eth_account', 'aiohttp', 'rich', 'pydantic'}\n"
        "loaded = {name for name in sys.modules if name in heavy or name.startswith('greenray.')}\n"
        "assert loaded == {'greenray.__main__', 'greenray.cli', 'greenray.cli.app',"
        " 'greenray.cli.output', 'greenray.protocol', 'greenray.protocol.errors',"
        " 'greenray.protocol.foreign_text'}, loaded\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    for name in COMMANDS:
        assert f"\n  {name} " in run.stdout


def test_a_client_loads_nothing_of_the_embedded_chain() -> None:
    program = (
        "import sys\n"
        "from greenray.chain.dialects import get_dialect\n"
        "get_dialect()\n"
        "print([name for name in sys.modules if '.local' in name])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout.strip()) == (0, "[]"), ran.stderr


def test_what_runs_actors_does_not_load_pydantic() -> None:
    roles = sorted(path.stem for path in (ROOT / "cluster" / "roles").glob("[a-z]*.py"))
    program = (
        "import sys\n"
        f"from greenray.cluster.roles import {', '.join(roles)}\n"
        "from greenray.cluster.on_ray import hosts\n"
        "print([name for name in sys.modules if name.startswith('pydantic')])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout.strip()) == (0, "[]"), ran.stderr
