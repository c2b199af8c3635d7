"""Names that a running v0.2.0 node accepted or refused, with its own text."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from greenray.protocol.errors import InvalidName
from greenray.protocol.names import check_bucket_name, check_object_name

_CHAIN = json.loads((Path(__file__).parent / "data" / "chain-v0_2.json").read_text())
_REFUSALS = ("greenfiled", 1000), ("greenfiled", 1001)


def _sent_with(message_type: str, label: str) -> list[dict[str, Any]]:
    return [
        sample
        for sample in _CHAIN["errors"]
        if sample["label"].startswith(label) and sample["message"]["@type"].endswith(message_type)
    ]


def _check(sample: dict[str, Any], check: Callable[[str], None], name: str) -> None:
    if tuple(sample["expected"]["check_tx"]) in _REFUSALS:
        with pytest.raises(InvalidName) as refused:
            check(name)
        assert f"desc = {refused.value.what}: Invalid " in sample["simulate"]["log"]
    else:
        check(name)


@pytest.mark.parametrize(
    "sample", _sent_with("MsgCreateBucket", "bucket name"), ids=lambda s: s["label"][:40]
)
def test_bucket_name_is_judged_as_the_chain_does(sample: dict[str, Any]) -> None:
    _check(sample, check_bucket_name, sample["message"]["bucket_name"])


@pytest.mark.parametrize(
    "sample", _sent_with("MsgCreateObject", "object name"), ids=lambda s: s["label"][:40]
)
def test_object_name_is_judged_as_the_chain_does(sample: dict[str, Any]) -> None:
    _check(sample, check_object_name, sample["message"]["object_name"])


def test_every_accepted_object_has_an_acceptable_name() -> None:
    names = [
        sample["message"]["object_name"]
        for sample in _CHAIN["accepted"]
        if "object_name" in sample["message"]
    ]
    assert len(names) > 10
    for name in names:
        check_object_name(name)


def test_the_recording_holds_names_of_both_kinds_and_both_answers() -> None:
    buckets = _sent_with("MsgCreateBucket", "bucket name")
    objects = _sent_with("MsgCreateObject", "object name")
    assert (len(buckets), len(objects)) == (19, 14)
