"""Conditional requests (RFC 9110 §13) for representations that have an entity tag and no date."""

from __future__ import annotations

import re
from enum import Enum, auto

_TAG = re.compile(r'(W/)?("[^"]*")')


class ConditionResult(Enum):
    HOLDS = auto()
    NOT_MODIFIED = auto()
    """The client has it already: 304."""
    FAILED = auto()
    """The client means another representation: 412."""


def entity_tag(integrity_hash: bytes) -> str:
    """Of an object, by the integrity hash of its segments: other bytes, another hash."""
    return f'"{integrity_hash.hex()}"'


def check_conditions(if_match: str, if_none_match: str, tag: str) -> ConditionResult:
    """Of a GET or HEAD of what has ``tag``; an empty text is no header.

    Conditions on dates are not asked for: a representation without a date ignores them.
    """
    if if_match and not _lists(if_match, tag, weak=False):
        return ConditionResult.FAILED
    if if_none_match and _lists(if_none_match, tag, weak=True):
        return ConditionResult.NOT_MODIFIED
    return ConditionResult.HOLDS


def is_range_wanted(if_range: str, tag: str) -> bool:
    """Whether a Range counts; a weak tag and a date never are what ``tag`` is."""
    return not if_range or if_range.strip() == tag


def _lists(header: str, tag: str, *, weak: bool) -> bool:
    if header.strip() == "*":
        return True
    return any(found == tag and (weak or not mark) for mark, found in _TAG.findall(header))
