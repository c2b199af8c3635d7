"""``greenray jobs`` and its like in Python, on running networks whose journal fails for a while."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

import greenray
from greenray.protocol.errors import IllegalTransition, InvalidInput, NoSuchJob
from greenray.protocol.job import JobState
from tests.support.broken_table import BrokenTable
from tests.support.cli import (
    SEGMENT_SIZE_BYTES,
    SMALL_NETWORK,
    Surroundings,
    UpNetwork,
    start_network,
)
from tests.support.waiting import until

CHAIN = {"block_interval_s": 0.1, "genesis_params": {"max_segment_size": SEGMENT_SIZE_BYTES}}
PATIENT = {"retry_base_s": 1800, "retry_cap_s": 1800}
"""No job is tried again within an hour."""
PAYLOAD = random.Random(17).randbytes(3 * SEGMENT_SIZE_BYTES + 11)

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def surroundings(tmp_path: Path) -> Iterator[Surroundings]:
    surroundings = Surroundings(tmp_path / "network", {**SMALL_NETWORK, "replication": PATIENT})
    yield surroundings
    surroundings.kill_everything()


def stuck_jobs(network: UpNetwork) -> list[dict[str, object]]:
    """Once there are some that their TaskNode has given back."""

    def given_back() -> list[dict[str, object]] | None:
        jobs: list[dict[str, object]] = network.answer("jobs", "list", "--stuck")["jobs"]
        wait = all(str(job["waits_for"]).startswith("its next retry") for job in jobs)
        return jobs if wait else None

    return until(given_back)


def test_a_stuck_job_is_listed_shown_retried_and_another_one_given_up(
    surroundings: Surroundings, tmp_path: Path
) -> None:
    file = tmp_path / "payload.bin"
    file.write_bytes(PAYLOAD)
    network = start_network(surroundings)
    groups = BrokenTable(surroundings.state_dir / "jobs.sqlite", "groups")
    groups.take_away()
    network.answer("put", "--wait", "uploaded", file, "album/photo.jpg")
    [job] = stuck_jobs(network)
    assert (job["bucket"], job["object"]) == ("album", "photo.jpg")
    assert (job["state"], job["retries"]) == ("REPLICATE_OBJECT_ERROR", 0)
    shown = network.call("jobs", "show", "album/photo.jpg").stdout
    assert "waits for its next retry (journal-error), due in" in shown
    assert "no such table: groups" in shown
    sp = job["sp_address"]
    assert network.answer("jobs", "list", "--sp", sp, "--bucket", "album")["jobs"] != []
    assert network.answer("jobs", "list", "--bucket", "another")["jobs"] == []
    assert network.answer("jobs", "list", "--state", "SEAL_OBJECT_DONE")["jobs"] == []
    wrong = network.call("jobs", "list", "--state", "nonsense", "--json").error
    assert wrong["reason"] == "invalid-input"
    assert "REPLICATE_OBJECT_ERROR" in wrong["message"]
    assert network.call("jobs", "show", "17", "--json").error["reason"] == "no-such-job"

    groups.put_back()
    assert network.answer("jobs", "retry", "album/photo.jpg") == {"retried": job["job_id"]}
    network.answer("status", "--watch", "album/photo.jpg")
    assert network.answer("jobs", "list")["jobs"] == []
    ended = network.call("jobs", "retry", job["job_id"], "--json").error
    assert ended["reason"] == "illegal-transition"

    groups.take_away()
    network.answer("put", "--wait", "uploaded", file, "album/other.jpg")
    [other] = stuck_jobs(network)
    groups.put_back()
    given_up = network.answer("jobs", "give-up", other["job_id"])
    assert given_up == {"given_up": other["job_id"]}
    assert network.answer("status", "album/other.jpg")["final"]
    assert [j["final"] for j in network.answer("jobs", "list", "--all")["jobs"]] == [True, True]
    network.stop()

    sealed_row, given_up_row = surroundings.call("jobs", "list", "--all").stdout.splitlines()
    assert "album/photo.jpg" in sealed_row
    assert "is not tried again" not in sealed_row
    assert "album/other.jpg" in given_up_row
    assert "has ended, is not tried again" in given_up_row
    stopped = surroundings.call("jobs", "retry", "album/other.jpg", "--json").error
    assert stopped["reason"] == "not-running"


def test_the_same_from_python_in_one_process(tmp_path: Path) -> None:
    with greenray.local_network(
        ray=False, chain=CHAIN, state_dir=tmp_path, replication=PATIENT
    ) as network:
        groups = BrokenTable(tmp_path / "jobs.sqlite", "groups")
        groups.take_away()
        network.put(PAYLOAD, "photos/one", wait="uploaded")
        network.put(PAYLOAD, "photos/two", wait="uploaded")
        until(lambda: all(j.waits_for.startswith("its next retry") for j in network.jobs()))
        one, two = network.jobs(stuck=True, state=JobState.REPLICATE_OBJECT_ERROR)
        assert (one.name, two.name) == ("photos/one", "photos/two")
        assert "journal-error" in network.jobs()._repr_html_()
        groups.put_back()
        network.retry_job("photos/one")
        *_, last = network.watch("photos/one")
        assert last.sealed
        network.give_up_job(two.job_id)
        assert len(network.jobs()) == 0
        assert [job.final for job in network.jobs(finished=True, bucket="photos")] == [True, True]
        with pytest.raises(IllegalTransition):
            network.give_up_job("photos/one")
        for address in ("sp-0", "0x1", ""):
            with pytest.raises(InvalidInput, match="no operator address"):
                network.jobs(sp=address)
        with pytest.raises(InvalidInput, match="bucket name 'photos/one'"):
            network.jobs(bucket="photos/one")
        assert len(network.jobs(finished=True, sp=one.sp_address.lower())) == 2
        with pytest.raises(NoSuchJob, match="greenray jobs list"):
            network.retry_job(17)
