"""Which condition holds for a tag (RFC 9110 §13)."""

from __future__ import annotations

import pytest

from greenray.protocol.http_conditions import (
    ConditionResult,
    check_conditions,
    entity_tag,
    is_range_wanted,
)

TAG = entity_tag(b"\xab\x01")


def test_a_tag_is_a_hash_in_quotes() -> None:
    assert TAG == '"ab01"'


@pytest.mark.parametrize(
    ("if_match", "if_none_match", "expected"),
    [
        ("", "", ConditionResult.HOLDS),
        (TAG, "", ConditionResult.HOLDS),
        ("*", "", ConditionResult.HOLDS),
        (f'"x,y", {TAG}', "", ConditionResult.HOLDS),
        ('"x"', "", ConditionResult.FAILED),
        (f"W/{TAG}", "", ConditionResult.FAILED),
        ("ab01", "", ConditionResult.FAILED),
        ("", '"x"', ConditionResult.HOLDS),
        ("", TAG, ConditionResult.NOT_MODIFIED),
        ("", f'"x" , W/{TAG}', ConditionResult.NOT_MODIFIED),
        ("", "*", ConditionResult.NOT_MODIFIED),
        (TAG, TAG, ConditionResult.NOT_MODIFIED),
        ('"x"', TAG, ConditionResult.FAILED),
    ],
)
def test_conditions_are_judged_in_their_order(
    if_match: str, if_none_match: str, expected: ConditionResult
) -> None:
    assert check_conditions(if_match, if_none_match, TAG) is expected


@pytest.mark.parametrize(
    ("if_range", "wanted"),
    [
        ("", True),
        (TAG, True),
        (f"W/{TAG}", False),
        ('"x"', False),
        ("Sat, 29 Oct 1994 19:43:31 GMT", False),
    ],
)
def test_a_range_counts_for_the_same_tag_only(if_range: str, wanted: bool) -> None:
    assert is_range_wanted(if_range, TAG) is wanted
