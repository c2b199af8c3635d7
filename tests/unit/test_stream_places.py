from __future__ import annotations

from greenray.actors.p2p.message_rates import RATES, MessageRates
from greenray.actors.p2p.stream_places import StreamPlaces
from greenray.protocol.peers import PING_PROTOCOL

BURST = int(RATES[PING_PROTOCOL].burst)


def test_strangers_leave_half_of_the_places() -> None:
    places = StreamPlaces(in_all=8, of_one_peer=4, of_one_stranger=2)
    taken = [places.take(f"s-{n}", is_known=False) for n in range(8)]
    assert taken.count(True) == 4
    assert all(places.take("known", is_known=True) for _ in range(4))
    assert not places.take("another", is_known=True)


def test_one_peer_has_so_many_and_a_stranger_fewer() -> None:
    places = StreamPlaces(in_all=100, of_one_peer=4, of_one_stranger=2)
    assert [places.take("known", is_known=True) for _ in range(5)].count(True) == 4
    assert [places.take("stranger", is_known=False) for _ in range(5)].count(True) == 2


def test_a_place_that_is_given_back_is_taken_again() -> None:
    places = StreamPlaces(in_all=2, of_one_peer=1, of_one_stranger=1)
    for _ in range(10):
        assert places.take("stranger", is_known=False)
        assert not places.take("stranger", is_known=False)
        places.give_back("stranger", is_known=False)


def allowed(rates: MessageRates, peer_id: str, now_s: float, *, is_known: bool) -> bool:
    return rates.allows(peer_id, PING_PROTOCOL, now_s, is_known=is_known)


def test_after_its_burst_a_peer_has_its_rate() -> None:
    rates = MessageRates()
    at_once = [allowed(rates, "peer", 0.0, is_known=True) for _ in range(2 * BURST)]
    assert at_once.count(True) == BURST
    assert allowed(rates, "peer", 1.0, is_known=True)
    assert allowed(rates, "other", 0.0, is_known=True)


def test_a_clock_that_goes_back_gives_nothing() -> None:
    rates = MessageRates()
    assert [allowed(rates, "peer", -float(n), is_known=True) for n in range(BURST + 1)][-1] is False


def test_strangers_together_have_the_rate_of_one_and_take_nothing_from_the_known() -> None:
    rates = MessageRates()
    strangers = [allowed(rates, f"s-{n}", 0.0, is_known=False) for n in range(5000)]
    assert strangers.count(True) == BURST
    assert allowed(rates, "peer", 0.0, is_known=True)
