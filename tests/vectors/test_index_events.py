"""Events of a recorded v0.2.0 node, as an index takes them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from greenray.chain.dialects import get_dialect
from greenray.chain.rpc.block_events import BlockEvent, block_head, events_of
from greenray.protocol.errors import InvalidInput
from greenray.protocol.index_changes import (
    BucketCreated,
    IndexChange,
    ObjectCreated,
    ObjectDeleted,
    ObjectSealed,
)
from greenray.protocol.objects import ObjectStatus, RedundancyType

RECORDING = Path(__file__).parent / "data" / "chain-v0_2.json"


@cache
def committed() -> tuple[dict[str, Any], ...]:
    """Transactions that are recorded with all of their events."""
    accepted = json.loads(RECORDING.read_text())["accepted"]
    found = [one for one in accepted if one.get("committed")]
    return tuple(
        one for one in found if not isinstance(one["committed"]["tx_result"]["events"][0], str)
    )


def changes() -> Iterator[IndexChange]:
    for one in committed():
        for event in events_of({"txs_results": [one["committed"]["tx_result"]]}):
            change = get_dialect().index_change(event.name, event.attributes)
            if change is not None:
                yield change


def test_all_that_the_recorded_node_did_is_understood() -> None:
    kinds = dict.fromkeys((BucketCreated, ObjectCreated, ObjectSealed, ObjectDeleted), 0)
    for change in changes():
        kinds[type(change)] += 1
    assert list(kinds.values()) == [5, 6, 6, 2]


def test_a_recorded_object_is_created_and_sealed_as_its_events_say() -> None:
    created = next(one for one in changes() if isinstance(one, ObjectCreated))
    assert len(created.info.checksums) == 7
    assert all(len(checksum) == 32 for checksum in created.info.checksums)
    assert created.info.redundancy_type is RedundancyType.REDUNDANCY_EC_TYPE
    sealed = next(one for one in changes() if isinstance(one, ObjectSealed))
    assert sealed.status is ObjectStatus.OBJECT_STATUS_SEALED
    assert len(sealed.secondary_sp_addresses) == 6


def test_a_transaction_has_the_hash_that_the_node_gave_it() -> None:
    for one in committed():
        block = {
            "block": {"header": {"time": "2023-05-15T08:00:01.5Z"}, "data": {"txs": [one["tx"]]}}
        }
        head = block_head(23, block)
        stamp = head.stamp(BlockEvent("", {}, 0))
        assert stamp.tx_hash == f"0x{one['tx_hash'].lower()}"
        assert (stamp.height, stamp.time_s) == (23, 1684137601)


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"bucket_name": '"b"', "object_name": "not JSON", "object_id": '"1"', "operator": '"0x"'},
        {"bucket_name": '"b"', "object_name": "1", "object_id": '"1"', "operator": '"0x"'},
        {"bucket_name": '"b"', "object_name": '"o"', "object_id": '"x"', "operator": '"0x"'},
    ],
)
def test_an_event_that_makes_no_sense_is_refused(attributes: dict[str, str]) -> None:
    name = "greenfield.storage.EventCancelCreateObject"
    with pytest.raises(InvalidInput):
        get_dialect().index_change(name, attributes)


@pytest.mark.parametrize(
    "block",
    [
        None,
        {"block": {"header": {"time": "yesterday"}, "data": {"txs": []}}},
        {"block": {"header": {"time": "2023-05-15T08:00:01Z"}, "data": {"txs": ["%"]}}},
        {"block": {"header": {"time": "2023-05-15T08:00:01Z"}, "data": {"txs": [1]}}},
        {"block": {"header": {"time": "2023-05-15T08:00:01Z"}, "data": {"txs": None}}},
    ],
)
def test_a_block_that_makes_no_sense_is_refused(block: Any) -> None:
    with pytest.raises(InvalidInput):
        block_head(1, block)


@pytest.mark.parametrize(
    "result",
    [
        {"txs_results": [{"events": []}]},
        {"txs_results": [{"code": 0, "events": [{"type": "x", "attributes": [{"key": "k"}]}]}]},
        {"end_block_events": ["x"]},
        {"end_block_events": 7},
    ],
)
def test_results_that_make_no_sense_are_refused(result: Any) -> None:
    with pytest.raises(InvalidInput):
        events_of(result)
