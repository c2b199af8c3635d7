"""How the crash drill names the journal's writes."""

from __future__ import annotations

from greenray.cluster.config.journal_freeze import WriteCounter


def test_writes_are_named_by_kind_and_number_since_the_last_upload_began() -> None:
    counter = WriteCounter()
    assert counter.writes("release_job 1") == []
    assert counter.writes("begin_upload 2") == ["begin_upload 1"]
    assert counter.writes("open_group 2/0, open_group 2/5") == ["open_group 1", "open_group 2"]
    assert counter.writes("acknowledge_batch 2/0 0, open_group 2/1") == [
        "acknowledge_batch 1",
        "open_group 3",
    ]
    assert counter.writes("apply sign_started 2") == ["apply sign_started 1"]
    assert counter.writes("reserve_transaction 2 nonce 1") == ["reserve_transaction nonce 1"]
    assert counter.writes("begin_upload 3") == ["begin_upload 1"]
    assert counter.writes("open_group 3/4") == ["open_group 1"]
