"""Bundles at a network in this process: stored, read by name and range, rebuilt, continued."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import greenray
from greenray.protocol.bundle import BundleWriter
from greenray.protocol.errors import (
    InvalidName,
    NoSuchEntry,
    NoSuchObject,
    NotABundle,
    UnreadableEntries,
    WrongObjectStatus,
)

SEGMENT_SIZE_BYTES = 65536
CHAIN = {"block_interval_s": 0.1, "genesis_params": {"max_segment_size": SEGMENT_SIZE_BYTES}}
FEW = greenray.BundleLimits(entries=10)

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[greenray.Network]:
    folder = tmp_path_factory.mktemp("network")
    with greenray.local_network(ray=False, chain=CHAIN, state_dir=folder) as network:
        yield network


def files(count: int, seed: str) -> Mapping[str, bytes]:
    draw = random.Random(seed)
    return {
        f"folder-{number % 3}/{number:03}.bin": draw.randbytes(draw.randrange(5000))
        for number in range(count)
    }


def made(top: Path, contents: Mapping[str, bytes]) -> Path:
    for name, payload in contents.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(payload)
    return top


def found(top: Path) -> Mapping[str, bytes]:
    return {
        path.relative_to(top).as_posix(): path.read_bytes()
        for path in top.rglob("*")
        if path.is_file()
    }


def test_a_directory_is_one_object_and_comes_back(net: greenray.Network, tmp_path: Path) -> None:
    contents = files(100, "directory")
    stored = net.put_bundle(made(tmp_path / "in", contents), "photos/all")
    assert (stored.entries, stored.left_out) == (100, ())
    assert [job.name for job in stored.objects] == ["photos/all"]
    bundle = net.open_bundle("photos/all")
    assert dict(bundle) == contents
    assert bundle.names() == tuple(sorted(contents))
    assert bundle.extract(tmp_path / "out").files == 100
    assert found(tmp_path / "out") == contents
    below = {name[9:]: data for name, data in contents.items() if name.startswith("folder-1/")}
    bundle.extract(tmp_path / "below", "folder-1/")
    assert found(tmp_path / "below") == below
    bundle.extract(tmp_path / "some", "folder-1/00")
    assert found(tmp_path / "some") == {n: d for n, d in below.items() if n.startswith("00")}


def test_entries_are_read_by_range(net: greenray.Network) -> None:
    payload = random.Random(1).randbytes(3 * SEGMENT_SIZE_BYTES)
    net.put_bundle({"large": payload, "small": b"tiny"}, "photos/ranges")
    bundle = net.open_bundle("photos/ranges")
    assert (
        bundle.read("large", SEGMENT_SIZE_BYTES - 5, 10)
        == (payload[SEGMENT_SIZE_BYTES - 5 : SEGMENT_SIZE_BYTES + 5])
    )
    assert bundle.read("small", 2) == b"ny"
    with pytest.raises(KeyError):
        bundle["nothing"]
    with pytest.raises(NoSuchEntry):
        bundle.read("nothing")
    assert "small" in bundle
    assert "nothing" not in bundle


def test_a_bundle_is_read_whole_and_compared_with_the_chain(
    net: greenray.Network, tmp_path: Path
) -> None:
    contents = files(20, "verified")
    net.put_bundle(contents, "photos/verified", limits=FEW)
    with net.open_bundle("photos/verified", verify=True) as bundle:
        assert bundle.verified
        assert dict(bundle) == contents
        bundle.extract(tmp_path)
    assert found(tmp_path) == contents


def test_an_object_that_is_no_bundle_says_so(net: greenray.Network) -> None:
    net.put(b"just a payload", "photos/payload")
    with pytest.raises(NotABundle):
        net.open_bundle("photos/payload")


def test_an_entry_comes_when_the_segments_of_the_primary_are_gone(net: greenray.Network) -> None:
    contents = files(50, "rebuilt")
    net.put_bundle(contents, "photos/rebuilt")
    [segments] = [c for c in net.pieces("photos/rebuilt").columns if c.redundancy_index == -1]
    (net.state_dir / segments.path).unlink()
    assert dict(net.open_bundle("photos/rebuilt")) == contents


def test_a_large_bundle_has_volumes_and_is_there_when_all_of_it_is(
    net: greenray.Network, tmp_path: Path
) -> None:
    contents = files(25, "volumes")
    top = made(tmp_path / "in", contents)
    broken = top / "folder-0" / "000.bin"
    broken.rename(tmp_path / "aside")
    broken.symlink_to("nowhere")
    with pytest.raises(UnreadableEntries, match=r"1 file cannot be bundled \(folder-0/000.bin"):
        net.put_bundle(top, "photos/volumes", limits=FEW)
    with pytest.raises(NoSuchObject):
        net.open_bundle("photos/volumes")
    broken.unlink()
    (tmp_path / "aside").rename(broken)
    stored = net.put_bundle(top, "photos/volumes", limits=FEW)
    assert [job.name for job in stored.objects] == [
        "photos/volumes.2",
        "photos/volumes.3",
        "photos/volumes",
    ]
    bundle = net.open_bundle("photos/volumes")
    assert dict(bundle) == contents


def test_the_same_files_put_again_go_on_and_others_are_refused(net: greenray.Network) -> None:
    contents = dict(files(25, "again"))
    first = net.put_bundle(contents, "photos/again", limits=FEW)
    again = net.put_bundle(contents, "photos/again", limits=FEW)
    assert [job.object_id for job in again.objects] == [job.object_id for job in first.objects]
    contents[min(contents)] += b"changed"
    with pytest.raises(WrongObjectStatus, match="Choose another name"):
        net.put_bundle(contents, "photos/again", limits=FEW)


def test_what_cannot_be_read_is_left_out_when_that_is_wanted(
    net: greenray.Network, tmp_path: Path
) -> None:
    contents = files(5, "left out")
    made(tmp_path, contents)
    (tmp_path / "gone").symlink_to("nowhere")
    stored = net.put_bundle(tmp_path, "photos/left-out", skip_unreadable=True)
    assert [failure.name for failure in stored.left_out] == ["gone"]
    assert dict(net.open_bundle("photos/left-out")) == contents
    with pytest.raises(UnreadableEntries, match="gone: No such file"):
        net.put_bundle([tmp_path / "gone"], "photos/nothing-left", skip_unreadable=True)


def test_names_of_a_foreign_bundle_lead_nowhere_outside(
    net: greenray.Network, tmp_path: Path
) -> None:
    writer = BundleWriter()
    writer.add("../escaped", 4, bytes(32))
    writer.add("fine", 4, bytes(32))
    net.put(b"evilfine" + writer.end(), "photos/foreign")
    bundle = net.open_bundle("photos/foreign")
    with pytest.raises(InvalidName, match=r"'\.\./escaped'"):
        bundle.extract(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
