"""The embedded chain's genesis: reading, validating, building."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from greenray.chain.dialects import get_local_dialect
from greenray.chain.local.ledger.genesis import (
    Genesis,
    build_genesis,
    genesis_to_json,
    load_genesis,
    parse_genesis,
)
from greenray.protocol.errors import InvalidInput
from tests.support.local_chain import address, genesis_provider, small_genesis

FIXED_GAS = get_local_dialect().fixed_gas
RECORDED = Path(__file__).parents[1] / "vectors" / "data" / "genesis-v0_2.json"


def test_the_recorded_genesis_is_read_whole() -> None:
    genesis = load_genesis(RECORDED, FIXED_GAS)
    assert genesis.chain_id == "greenfield_9000-121"
    assert genesis.numeric_chain_id == 9000
    assert [account.account_number for account in genesis.accounts] == list(range(46))
    assert len(genesis.storage_providers) == 7
    assert genesis.params.storage.secondary_count == 6
    assert genesis.gas["/greenfield.storage.MsgRejectSealObject"] == 12000
    assert not genesis.params.recorded_reject_seal


@pytest.mark.parametrize(
    "genesis",
    [load_genesis(RECORDED, FIXED_GAS), small_genesis({"min_charge_size": 7})],
)
def test_a_written_genesis_reads_back_equal(genesis: Genesis) -> None:
    assert parse_genesis(json.loads(json.dumps(genesis_to_json(genesis))), FIXED_GAS) == genesis


def test_a_built_genesis_numbers_each_address_once() -> None:
    shared = genesis_provider(lambda role: address("same"))
    genesis = build_genesis([shared], [address("user"), address("same")], fixed_gas=FIXED_GAS)
    assert [a.address for a in genesis.accounts] == [address("same"), address("user")]


def test_parameters_can_be_overridden_by_name() -> None:
    genesis = small_genesis({"max_segment_size": 4096, "reserve_time_s": 30})
    assert genesis.params.storage.max_segment_size == 4096
    assert genesis.params.reserve_time_s == 30


def test_an_unknown_override_is_named() -> None:
    with pytest.raises(InvalidInput, match="max_segmnt_size"):
        small_genesis({"max_segmnt_size": 4096})


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"chain_id": "greenfield-1"}, "chain_id"),
        ({"accounts": [{"address": "0x12"}]}, r"accounts\[0\].address"),
        ({"accounts": {}}, "accounts"),
        ({"storage_providers": [{"sp_address": 5}]}, r"storage_providers\[0\].sp_address"),
        ({"params": {"payment": {"reserve_time": "-1"}}}, "params.payment.reserve_time"),
        ({"params": {"storage": {"versioned_params": {"redundant_data_chunk_num": 0}}}}, "k must"),
        ({"min_gas_price": "cheap"}, "min_gas_price"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, Any], where: str) -> None:
    document = genesis_to_json(small_genesis()) | change
    with pytest.raises(InvalidInput, match=where):
        parse_genesis(document, FIXED_GAS)


def test_two_providers_cannot_share_a_seal_address() -> None:
    document = genesis_to_json(small_genesis())
    rows = document["storage_providers"]
    rows[1]["seal_address"] = rows[0]["seal_address"]
    with pytest.raises(InvalidInput, match="seal_address"):
        parse_genesis(document, FIXED_GAS)


def test_a_file_that_is_not_json_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "genesis.json"
    path.write_text("{")
    with pytest.raises(InvalidInput, match="cannot be read"):
        load_genesis(path, FIXED_GAS)
