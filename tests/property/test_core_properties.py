from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from greenray.protocol.approvals import (
    Approval,
    approval_from_header,
    approval_sign_bytes,
    approval_to_header,
)
from greenray.protocol.errors import InvalidHeader, InvalidInput
from greenray.protocol.go_json import dump, replace_surrogates, sorted_compact
from greenray.protocol.objects import (
    ObjectInfo,
    ObjectStatus,
    RedundancyType,
    SourceType,
    Visibility,
)
from greenray.protocol.piece_keys import piece_key, segment_key
from greenray.protocol.receiving import parse_replicate_headers

_ids = st.integers(0, 2**64 - 1)
_numbers = st.integers(0, 2**31)
_text = st.text(st.characters(exclude_categories=["Cs"]))
_any_text = st.text(st.characters())
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | _any_text,
    lambda inner: st.lists(inner) | st.dictionaries(_text, inner),
)
_infos = st.builds(
    ObjectInfo,
    owner=_text,
    bucket_name=_text,
    object_name=_text,
    id=_ids,
    payload_size=_ids,
    visibility=st.sampled_from(Visibility),
    content_type=_text,
    create_at=st.integers(-(2**63), 2**63 - 1),
    object_status=st.sampled_from(ObjectStatus),
    redundancy_type=st.sampled_from(RedundancyType),
    source_type=st.sampled_from(SourceType),
    checksums=st.lists(st.binary(max_size=40)).map(tuple),
    secondary_sp_addresses=st.lists(_text).map(tuple),
)
_approvals = st.builds(
    Approval,
    object_info=_infos,
    sp_operator_address=_text,
    expired_time=st.integers(-(2**63), 2**63 - 1),
    refused_reason=_text,
    signature=st.binary(max_size=70),
)


@given(st.sets(st.tuples(_ids, _numbers) | st.tuples(_ids, _numbers, _numbers), min_size=2))
def test_no_two_pieces_share_a_key(places: set[tuple[int, ...]]) -> None:
    keys = {piece_key(*place) if len(place) == 3 else segment_key(*place) for place in places}
    assert len(keys) == len(places)


@given(_json)
def test_go_json_is_json_of_the_same_value(value: object) -> None:
    again = json.loads(dump(value, sort_keys=False))
    assert again == json.loads(replace_surrogates(json.dumps(value, ensure_ascii=False)))


@given(_json)
def test_sign_bytes_do_not_depend_on_the_order_of_keys(value: object) -> None:
    assert sorted_compact({"a": value, "b": 1}) == sorted_compact({"b": 1, "a": value})


@given(_any_text)
def test_go_json_has_no_character_that_go_escapes(text: str) -> None:
    written = dump(text, sort_keys=False)
    assert not any(c in "<>&\u2028\u2029" or c < " " for c in written)
    assert "\\b" not in written.replace("\\\\", "")
    assert "\\f" not in written.replace("\\\\", "")


@given(_approvals)
def test_approval_header_can_be_read_back(approval: Approval) -> None:
    header = approval_to_header(approval)
    assert approval_from_header(header) == approval
    assert approval_from_header(header.encode().decode()) == approval


@given(_approvals, _approvals)
def test_different_approvals_have_different_sign_bytes(one: Approval, other: Approval) -> None:
    same = replace(one, signature=b"") == replace(other, signature=b"")
    assert (approval_sign_bytes(one) == approval_sign_bytes(other)) is same


@given(_json, st.text())
def test_any_header_is_an_approval_or_an_invalid_header(value: object, text: str) -> None:
    for header in (json.dumps(value), json.dumps({"object_info": value, "signature": text}), text):
        with suppress(InvalidHeader):
            approval_sign_bytes(approval_from_header(header))


@given(st.text(), st.text(), st.text())
def test_any_header_values_are_numbers_or_an_invalid_input(a: str, b: str, c: str) -> None:
    with suppress(InvalidInput):
        parse_replicate_headers(a, b, c, "{}")
