"""What a node's answers mean, case by case (protocol 04 §7.4, §7.5, §11)."""

from __future__ import annotations

import pytest

from greenray.protocol.nonce_plan import (
    AnswerKind,
    ChainView,
    Fate,
    NodeAnswer,
    ResendVerdict,
    SentVerdict,
    distinct_timeout_height,
    free_nonces,
    needs_look_up,
    read_answer,
    resend_verdict,
    sent_verdict,
    transaction_fate,
)

MISMATCH = "account sequence mismatch, expected 7, got 9: incorrect account sequence"


class TestReadAnswer:
    @pytest.mark.parametrize(
        ("codespace", "code", "log", "expected"),
        [
            ("", 0, "[]", NodeAnswer(AnswerKind.ACCEPTED)),
            ("sdk", 19, "", NodeAnswer(AnswerKind.ACCEPTED)),
            ("sdk", 32, MISMATCH, NodeAnswer(AnswerKind.SEQUENCE, 7)),
            ("sdk", 32, "", NodeAnswer(AnswerKind.SEQUENCE)),
            ("sdk", 5, "1BNB is smaller than 2BNB", NodeAnswer(AnswerKind.FUNDS)),
            ("sdk", 13, "insufficient fees", NodeAnswer(AnswerKind.FUNDS)),
            ("sdk", 20, "", NodeAnswer(AnswerKind.MEMPOOL_FULL)),
            ("sdk", 4, "signature verification failed", NodeAnswer(AnswerKind.REFUSED)),
            ("storage", 5, "", NodeAnswer(AnswerKind.REFUSED)),
            ("storage", 1108, "Object already sealed", NodeAnswer(AnswerKind.REFUSED)),
        ],
    )
    def test_an_answer_is_read_by_codespace_and_code(
        self, codespace: str, code: int, log: str, expected: NodeAnswer
    ) -> None:
        assert read_answer(codespace, code, log) == expected

    def test_a_simulation_says_the_mismatch_in_its_text_only(self) -> None:
        text = f"rpc error: code = Unknown desc = {MISMATCH} [ante/sigverify.go:264]"
        assert read_answer("sdk", 6, text) == NodeAnswer(AnswerKind.SEQUENCE, 7)

    def test_a_known_transaction_is_accepted_whatever_the_code(self) -> None:
        assert read_answer("sdk", 18, "", already_known=True).kind is AnswerKind.ACCEPTED


class TestResendVerdict:
    @pytest.mark.parametrize(
        ("answer", "verdict"),
        [
            (NodeAnswer(AnswerKind.ACCEPTED), ResendVerdict.CONTINUE),
            (NodeAnswer(AnswerKind.SEQUENCE, 6), ResendVerdict.CONTINUE),
            (NodeAnswer(AnswerKind.SEQUENCE), ResendVerdict.CONTINUE),
            (NodeAnswer(AnswerKind.SEQUENCE, 4), ResendVerdict.BELOW_A_GAP),
            (NodeAnswer(AnswerKind.FUNDS), ResendVerdict.BLOCKED),
            (NodeAnswer(AnswerKind.MEMPOOL_FULL), ResendVerdict.BLOCKED),
            (NodeAnswer(AnswerKind.REFUSED), ResendVerdict.BLOCKED),
        ],
    )
    def test_nonce_five_sent_again(self, answer: NodeAnswer, verdict: ResendVerdict) -> None:
        assert resend_verdict(5, answer) is verdict


def fate(
    code: int | None, sequence: int, height: int, consumed_since_height: int | None = None
) -> Fate:
    """Of nonce 5 with timeout height 100, on a node that indexes within 2 blocks."""
    return transaction_fate(
        nonce=5,
        timeout_height=100,
        code=code,
        view=ChainView(sequence, height),
        consumed_since_height=consumed_since_height,
        settle_blocks=2,
    )


class TestTransactionFate:
    def test_code_zero_is_committed_even_if_the_view_is_older(self) -> None:
        assert fate(0, sequence=5, height=10) is Fate.COMMITTED

    def test_a_failure_that_consumed_the_nonce_is_final(self) -> None:
        assert fate(1108, sequence=6, height=10, consumed_since_height=10) is Fate.FAILED

    def test_a_refusal_inside_a_block_leaves_the_bytes_alive(self) -> None:
        assert fate(5, sequence=5, height=10) is Fate.IN_FLIGHT
        assert fate(5, sequence=5, height=102) is Fate.DEAD

    def test_a_consumed_nonce_is_dead_only_after_the_index_had_time(self) -> None:
        assert fate(None, sequence=6, height=11, consumed_since_height=10) is Fate.IN_FLIGHT
        assert fate(None, sequence=6, height=12, consumed_since_height=10) is Fate.DEAD

    def test_a_timeout_is_dead_only_after_the_index_had_time(self) -> None:
        assert fate(None, sequence=5, height=101) is Fate.IN_FLIGHT
        assert fate(None, sequence=5, height=102) is Fate.DEAD

    def test_nothing_is_looked_up_before_it_can_have_ended(self) -> None:
        view = ChainView(sequence=5, height=99)
        assert not needs_look_up(nonce=5, timeout_height=100, view=view)
        assert needs_look_up(nonce=4, timeout_height=100, view=view)
        assert needs_look_up(nonce=5, timeout_height=99, view=view)
        assert not needs_look_up(nonce=5, timeout_height=0, view=view)


class TestFreeNonces:
    def test_gaps_come_first(self) -> None:
        assert free_nonces(sequence=3, held={4, 5, 7}, count=4) == (3, 6, 8, 9)

    def test_what_is_below_the_sequence_does_not_count(self) -> None:
        assert free_nonces(sequence=3, held={0, 1}, count=1) == (3,)

    def test_a_node_with_foreign_transactions_queued_is_believed(self) -> None:
        assert free_nonces(sequence=3, held=(), count=2, expected=5) == (5, 6)
        assert free_nonces(sequence=3, held=(), count=1, expected=2) == (3,)


def test_a_second_transaction_with_the_same_nonce_gets_another_timeout() -> None:
    def timeout_height(earlier: list[tuple[int, int]]) -> int:
        return distinct_timeout_height(height=10, timeout_blocks=100, nonce=5, earlier=earlier)

    assert timeout_height([]) == 110
    assert timeout_height([(4, 110)]) == 110
    assert timeout_height([(5, 110)]) == 111
    assert timeout_height([(5, 110), (5, 111)]) == 112


class TestSentVerdict:
    @pytest.mark.parametrize(
        ("answer", "tries", "expected"),
        [
            (NodeAnswer(AnswerKind.ACCEPTED), 1, SentVerdict.ON_ITS_WAY),
            (NodeAnswer(AnswerKind.ACCEPTED), 3, SentVerdict.ON_ITS_WAY),
            (NodeAnswer(AnswerKind.SEQUENCE, 9), 1, SentVerdict.NEVER_ACCEPTED),
            (NodeAnswer(AnswerKind.REFUSED), 1, SentVerdict.NEVER_ACCEPTED),
            (NodeAnswer(AnswerKind.SEQUENCE, 9), 2, SentVerdict.ON_ITS_WAY),
            (NodeAnswer(AnswerKind.SEQUENCE, 7), 2, SentVerdict.MAY_LIVE),
            (NodeAnswer(AnswerKind.FUNDS), 2, SentVerdict.MAY_LIVE),
        ],
    )
    def test_only_the_answer_to_the_only_sending_ends_a_transaction(
        self, answer: NodeAnswer, tries: int, expected: SentVerdict
    ) -> None:
        assert sent_verdict(8, answer, tries) is expected
