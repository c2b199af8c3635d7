"""Which refusals of a store a client is asked to come again after."""

from __future__ import annotations

import pytest

from greenray.actors.gateway.errors import refusal_for
from greenray.client.patience import passes
from greenray.protocol.errors import (
    JournalDamaged,
    JournalError,
    JournalFull,
    JournalMissing,
    JournalUnavailable,
    NoSpaceLeft,
    SegmentsUnreadable,
    StoreError,
    StoreUnavailable,
)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (StoreUnavailable, 503),
        (JournalUnavailable, 503),
        (StoreError, 500),
        (SegmentsUnreadable, 500),
        (JournalError, 500),
        (JournalDamaged, 500),
        (JournalMissing, 500),
        (NoSpaceLeft, 507),
        (JournalFull, 507),
    ],
)
def test_a_client_comes_again_for_what_passes_by_itself_and_for_nothing_else(
    kind: type[StoreError], status: int
) -> None:
    code = refusal_for(kind("it does not", "pieces")).code
    assert code.status == status
    assert (code.retry_after_s is not None) == passes(kind("it does not", "pieces"))
    assert passes(kind("it does not", "pieces")) == (status == 503)
