"""A dialect is a value: found by name, asked for everything, named nowhere else."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from greenray.chain.dialect import Dialect, P2pWire, Queries, Secondaries
from greenray.chain.dialects import DEFAULT_DIALECT, get_dialect, get_local_dialect
from greenray.chain.local.ledger.local_dialect import LocalDialect
from greenray.client.network_file import read_network
from greenray.cluster.config.settings_loading import load_settings
from greenray.cluster.config.state_dir import StateDir
from greenray.protocol.errors import InvalidSetting
from tests.support.sources import nodes_of, source_files
from tests.unit.test_state_dir import NETWORK

_ROOT = Path(__file__).parents[2]
_DATA_FILE = "genesis-v0_2.json"


def test_only_its_own_package_names_a_dialect() -> None:
    dialects = ("greenray", "chain", "dialects")
    found = [
        f"{path.relative_to(_ROOT)}:{number} {line.strip()}"
        for path in (*source_files(), *_ROOT.glob("scripts/*.py"))
        if path.relative_to(_ROOT).parts[1:4] != dialects
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if "v0_2" in line.replace(_DATA_FILE, "")
    ]
    assert found == []


def _name(called: ast.expr) -> str:
    match called:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def test_a_verified_receipt_is_made_by_its_verification_and_by_the_journal_only() -> None:
    # The journal's codec makes its values from their types and names none of them.
    makers = {
        path.name
        for path in source_files()
        for node in nodes_of(path, ast.Call)
        if _name(node.func) == "SecondaryReceipt"
    }
    assert makers == {"integrity.py"}


@pytest.mark.parametrize("find", [get_dialect, get_local_dialect])
def test_an_unknown_dialect_is_refused_and_the_known_ones_are_named(
    find: Callable[[str], object],
) -> None:
    with pytest.raises(InvalidSetting, match="'nonsense'") as refused:
        find("nonsense")
    assert DEFAULT_DIALECT in refused.value.next_step


def test_an_unknown_dialect_is_refused_when_settings_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GREENRAY_CHAIN__DIALECT", "nonsense")
    with pytest.raises(InvalidSetting, match=f"'nonsense'.*{DEFAULT_DIALECT}") as refused:
        load_settings()
    assert refused.value.where == "GREENRAY_CHAIN__DIALECT"
    assert ".." not in str(refused.value)


def test_a_client_refuses_a_network_whose_dialect_it_does_not_know(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    state.lock()
    try:
        state.write_network(replace(NETWORK, dialect="nonsense"))
        with pytest.raises(InvalidSetting, match="'nonsense'") as refused:
            read_network(tmp_path)
    finally:
        state.unlock()
    assert "network.json" in refused.value.where


def test_what_the_embedded_chain_speaks_is_the_dialect_of_that_name() -> None:
    local = get_local_dialect()
    assert isinstance(local, LocalDialect)
    assert local.dialect is get_dialect()


def test_the_parts_of_a_dialect_are_typed_names() -> None:
    # mypy lets a module that is an attribute of a module pass for any Protocol; it compares where
    # the module is assigned to a typed name.
    dialect = get_dialect()
    for owner, name, protocol in (
        (dialect, "queries", Queries),
        (dialect, "secondaries", Secondaries),
        (dialect.secondaries, "p2p_wire", P2pWire),
    ):
        assert owner.__annotations__[name] == protocol.__name__
    assert {"queries", "secondaries"} <= vars(Dialect).keys()
