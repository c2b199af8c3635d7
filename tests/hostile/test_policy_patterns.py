"""Policies of somebody else on the embedded chain: their patterns cost a block no time."""

from __future__ import annotations

import pytest

from greenray.chain.dialects.v0_2.messages import MsgPutPolicy, Principal, Statement
from greenray.chain.dialects.v0_2.policies import policy_fault
from greenray.chain.dialects.v0_2.resource_patterns import (
    MAX_PATTERN_BYTES,
    InvalidPattern,
    check_pattern,
    matches,
)
from greenray.chain.proto_json import Effect, PrincipalType
from greenray.protocol.objects import ActionType

LONGEST = "grn:o::bucket/" + "a" * 1023 + "!"


@pytest.mark.parametrize(
    "pattern",
    [
        "grn:o::b/(a+)+$",
        "(a|a)*Z$",
        "(a|aa)+$",
        "(.*a){20}$",
        "^(([a-z])+.)+[A-Z]([a-z])+$",
        "a*" * 1000 + "Z",
    ],
)
@pytest.mark.timeout(10)
def test_no_pattern_takes_more_than_linear_time(pattern: str) -> None:
    for _ in range(10):
        assert not matches(pattern, LONGEST)


@pytest.mark.parametrize(
    ("pattern", "resource", "found"),
    [
        ("grn:o::bucket/*", "grn:o::bucket/any", True),
        ("grn:o::bucket/a.*", "grn:o::bucket/abc", True),
        ("bucket/ab", "grn:o::bucket/abc", True),  # anywhere, as Go's MatchString
        ("^bucket", "grn:o::bucket/abc", False),
        ("grn:o::bucket/[ab]$", "grn:o::bucket/b", True),
        (r"\p{Han}", "grn:o::bucket/木", True),
        (r"(?i)ABC", "grn:o::bucket/abc", True),
        ("a$", "grn:o::bucket/a\n", False),  # Python's would match
    ],
)
def test_patterns_mean_what_they_mean_in_go(pattern: str, resource: str, found: bool) -> None:
    assert matches(pattern, resource) is found


@pytest.mark.parametrize(
    "pattern",
    [
        "[a",
        "(?=a)",
        r"(a)\1",
        "a{1001}",
        "((a{100}){100}){100}",
        "x" * (MAX_PATTERN_BYTES + 1),
        "ü" * (MAX_PATTERN_BYTES // 2 + 1),
        "\udc80",
    ],
)
def test_what_go_refuses_and_what_is_too_long_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidPattern):
        check_pattern(pattern)
    assert not matches(pattern, LONGEST)


def test_such_a_policy_is_refused_before_it_is_on_chain() -> None:
    resource = "grn:o::bucket/" + "a" * MAX_PATTERN_BYTES
    fault = policy_fault(_policy("grn:o::bucket/[a"), lambda address: None)
    assert fault is not None
    assert "missing ]" in fault.log
    assert policy_fault(_policy("grn:o::bucket/(a+)+$"), lambda address: None) is None
    assert policy_fault(_policy(resource), lambda address: None) is not None


def _policy(resource: str) -> MsgPutPolicy:
    statement = Statement(
        effect=Effect.EFFECT_ALLOW,
        actions=(ActionType.ACTION_GET_OBJECT,),
        resources=(resource,),
    )
    principal = Principal(type=PrincipalType.PRINCIPAL_TYPE_GNFD_ACCOUNT, value="0x" + "1" * 40)
    return MsgPutPolicy(
        operator="0x" + "2" * 40,
        principal=principal,
        resource="grn:b::bucket",
        statements=(statement,),
    )
