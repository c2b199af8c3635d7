"""The documents about an object that a gateway answers with, checked before anybody looks in."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from greenray.protocol.document_form import NULL, misfit
from greenray.protocol.errors import BadAnswer
from greenray.protocol.job import JobState

_STATE = frozenset(state.name for state in JobState)
_STATUS = {
    "bucket": str,
    "object": str,
    "object_id": int,
    "payload_size_bytes": int,
    "state": _STATE,
    "state_number": frozenset(map(int, JobState)),
    "final": bool,
    "sealed": bool,
    "attempt": int,
    "history": [{"state": _STATE, "at": float}],
    "secondaries": [{"redundancy_index": int, "operator_address": str, "integrity_hash": str}],
    "replaced": [{"redundancy_index": int, "operator_address": str, "reason": str, "message": str}],
    "seal_tx_hash": (NULL, str),
    "seal_height": (NULL, int),
    "error": (NULL, {"reason": str, "message": str, "retryable": bool}),
}


_SOURCES = {"primary_bytes": int, "rebuilt_bytes": int, "piece_bytes": dict}


def checked_status(document: Any, where: str) -> Mapping[str, Any]:
    """A job-status document, as it came. Raises BadAnswer, which names what is wrong with it."""
    _check(misfit(document, _STATUS, "job-status"), where)
    for secondary in document["secondaries"]:
        try:
            bytes.fromhex(secondary["integrity_hash"])
        except ValueError:
            _check("job-status has an integrity hash that is not hexadecimal", where)
    return MappingProxyType(document)


def checked_timeline(document: Any, where: str) -> Mapping[str, Any]:
    """Whether it is about an object; its reader looks at the rest. Raises BadAnswer."""
    _check(misfit(document, {"object_id": int}, "job-timeline"), where)
    return MappingProxyType(document)


def checked_sources(document: Any, where: str) -> Mapping[str, Any]:
    """Where a download's bytes came from. Raises BadAnswer."""
    name = "download-sources"
    _check(misfit(document, _SOURCES, name), where)
    sizes = list(document["piece_bytes"].values())
    _check(misfit(sizes, [int], f"{name}.piece_bytes"), where)
    return MappingProxyType(document)


def _check(problem: str | None, where: str) -> None:
    if problem is not None:
        raise BadAnswer(
            f"the answer cannot be read: {problem}", where, "See that it is a greenray gateway."
        )
