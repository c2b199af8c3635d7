"""What all pictures have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def caption(document: Mapping[str, Any], marks: str) -> str:
    """How to read it, and where and when it was measured. ``marks``: what shows what."""
    repeats = max((row["repeats"] for row in document["rows"]), default=0)
    return (
        f"Up to {repeats} repeats: {marks}, whiskers go from the smallest to the largest.\n"
        f"{origin(document)}"
    )


def origin(document: Mapping[str, Any]) -> str:
    """Where and when it was measured."""
    environment = document["environment"]
    quick = "quick run, for a first look only; " if document["quick"] else ""
    return (
        f"{quick}greenray bench {document['bench']}, "
        f"{environment['processor']}, {environment['cores']} cores, {environment['kernel']}, "
        f"{environment['measured_at'][:10]}"
    )
