"""``put --bundle``, ``bundle ls`` and ``get BUCKET/OBJECT//ENTRY`` at a network without Ray."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

import greenray
from greenray.protocol.errors import NoSuchObject
from tests.support.cli import SEGMENT_SIZE_BYTES, Surroundings

CHAIN = {"block_interval_s": 0.1, "genesis_params": {"max_segment_size": SEGMENT_SIZE_BYTES}}
CONTENTS = {"a/one.txt": b"first", "a/two.bin": b"second", "b": b"x" * 1000}

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Surroundings]:
    """Where commands are run, beside a network with one bundle, ``photos/all`` of ``files``."""
    surroundings = Surroundings(tmp_path_factory.mktemp("commands"))
    for name, payload in CONTENTS.items():
        path = surroundings.folder / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(payload)
    with greenray.local_network(ray=False, chain=CHAIN, state_dir=surroundings.state_dir):
        files = surroundings.folder / "files"
        put = surroundings.call("put", "--bundle", files, "photos/all", "--json")
        assert put.exit_code == 0, put
        assert (put.document["entries"], len(put.document["objects"])) == (3, 1)
        assert put.document["objects"][0]["sealed"]
        yield surroundings


def test_entries_are_listed(here: Surroundings) -> None:
    listed = here.call("bundle", "ls", "photos/all", "--json").document["entries"]
    assert [(entry["entry"], entry["size_bytes"]) for entry in listed] == [
        ("a/one.txt", 5),
        ("a/two.bin", 6),
        ("b", 1000),
    ]
    assert listed[0]["content_type"] == "text/plain"
    assert here.call("bundle", "ls", "photos/all//a/").stdout.splitlines() == [
        "       5 B  a/one.txt",
        "       6 B  a/two.bin",
        "      11 B  in 2 entries",
    ]


def test_an_entry_is_got_into_this_directory_and_a_range_of_it_elsewhere(
    here: Surroundings,
) -> None:
    got = here.call("get", "photos/all//a/one.txt", "--json").document
    assert (got["file"], got["verified_by"]) == ("one.txt", "index")
    assert (here.folder / "one.txt").read_bytes() == b"first"
    got = here.call("get", "photos/all//a/one.txt", "cut", "--range", "1-3", "--json").document
    assert (got["start"], got["size_bytes"], got["verified_by"]) == (1, 3, None)
    assert (here.folder / "cut").read_bytes() == b"irs"


def test_a_folder_and_all_entries_are_got(here: Surroundings) -> None:
    assert here.call("get", "photos/all//a/", "a").exit_code == 0
    assert sorted(os.listdir(here.folder / "a")) == ["one.txt", "two.bin"]
    got = here.call("get", "photos/all//", "all", "--json").document
    assert (got["files"], got["verified_by"]) == (3, "chain")
    assert {name: (here.folder / "all" / name).read_bytes() for name in CONTENTS} == CONTENTS


@pytest.mark.parametrize(
    ("arguments", "exit_code", "said"),
    [
        (("get", "photos/all//a", "x"), 1, "only some below it. Get a/ with its slash"),
        (("get", "photos/all//none/", "x"), 1, "no entry below 'none/'"),
        (("get", "photos/all//b", "x", "--range", "4-2"), 2, "ends before it begins"),
        (("get", "photos/all//", "x", "--range", "0-2"), 2, "goes with one entry"),
        (("get", "photos/all", "x", "--range", "0-2"), 2, "goes with an entry of a bundle"),
        (("get", "photos/all"), 2, "name the file, or the directory"),
        (("put", "--skip-unreadable", "files", "photos/x"), 2, "go with --bundle"),
        (("put", "--bundle", "none", "photos/x"), 1, "no such file or directory"),
    ],
)
def test_wrong_usage_says_what_to_do(
    here: Surroundings, arguments: tuple[str, ...], exit_code: int, said: str
) -> None:
    outcome = here.call(*arguments)
    assert outcome.exit_code == exit_code, outcome
    assert said in outcome.stderr
    assert not (here.folder / "x").exists()


def test_what_cannot_be_read_is_named_and_left_out_when_that_is_asked_for(
    here: Surroundings,
) -> None:
    top = here.folder / "broken"
    top.mkdir()
    (top / "good").write_bytes(b"good")
    (top / "bad").symlink_to("nowhere")
    refused = here.call("put", "--bundle", "broken", "photos/broken", "--json")
    assert refused.error["reason"] == "unreadable-entries"
    assert "not bundled: broken/bad: No such file" in refused.stderr
    put = here.call(
        "put", "-r", "--bundle", "--skip-unreadable", "broken", "photos/broken", "--json"
    )
    assert put.exit_code == 1
    assert put.document["entries"] == 1
    assert [left["entry"] for left in put.document["left_out"]] == ["bad"]


def test_an_interrupted_bundle_is_not_there_and_goes_on_when_it_is_put_again(
    here: Surroundings,
) -> None:
    top, spool = here.folder / "many", here.folder / "spool"
    top.mkdir()
    spool.mkdir()
    for number in range(20_001):  # one more than two volumes take
        (top / str(number)).write_bytes(b"%d" % number)
    arguments = ("put", "--bundle", top, "photos/many", "--spool", spool)
    with greenray.connect(here.state_dir) as net:
        putting = here.start(*arguments)
        while not _exists(net, "photos/many.2"):
            time.sleep(0.01)
        interrupted = putting.stop(signal.SIGINT)
        assert (interrupted.exit_code, os.listdir(spool)) == (130, [])
        assert interrupted.stderr.splitlines()[-1] == "interrupted"
        with pytest.raises(NoSuchObject):
            net.open_bundle("photos/many")
        assert here.run(*arguments).exit_code == 0
        bundle = net.open_bundle("photos/many")
        assert len(bundle) == 20_001
        assert bundle["9999"] == b"9999"


def _exists(net: greenray.Network, name: str) -> bool:
    try:
        net.status(name)
    except NoSuchObject:
        return False
    return True
