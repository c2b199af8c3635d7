"""``greenray hash`` in this process: its documents, and every kind of bad input."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from greenray.cli.app import app


def greenray(*arguments: object, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)


def error_of(result: Result, exit_code: int = 1) -> str:
    """The one line on stderr."""
    assert result.exit_code == exit_code, result.output
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("error: ")
    return result.stderr


@pytest.fixture
def hello(tmp_path: Path) -> Path:
    path = tmp_path / "hello.bin"
    path.write_bytes(b"hello")
    return path


@pytest.mark.parametrize("codec", ["isal", "zfec", "numpy"])
def test_the_codec_is_named_and_changes_nothing_else(codec: str, hello: Path) -> None:
    expected = json.loads(greenray("hash", hello, "--json").stdout)
    document = json.loads(greenray("hash", hello, "--codec", codec, "--json").stdout)
    assert document == expected | {"codec": codec}


def test_replica_gives_every_secondary_the_primarys_hash(hello: Path) -> None:
    document = json.loads(greenray("hash", hello, "--replica", "--json").stdout)
    assert len(document["integrity_hashes"]) == 7
    assert len(set(document["integrity_hashes"])) == 1
    assert document["piece_checksums"] == [document["segment_checksums"]] * 6


def test_people_see_the_integrity_hashes_by_redundancy_index(hello: Path) -> None:
    result = greenray("hash", hello, "-k", "2", "-m", "1")
    lines = result.stdout.splitlines()
    assert lines[0].startswith("5 bytes, 1 x up to 16 MiB, 2+1, codec ")
    assert [line.split("  ")[1] for line in lines[2:]] == [
        "primary",
        "index 0",
        "index 1",
        "index 2",
    ]


def test_an_empty_file_has_hashes_and_a_note_on_stderr(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    result = greenray("hash", path, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["segment_checksums"] == []
    assert "empty payload is never uploaded" in result.stderr


# --- bad input ---------------------------------------------------------------------------------


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nowhere"
    message = error_of(greenray("hash", path))
    assert str(path) in message
    assert "No such file" in message
    assert "Give the path of a readable file" in message


def test_a_directory_is_refused(tmp_path: Path) -> None:
    assert f"{tmp_path}: the payload cannot be read: Is a directory" in error_of(
        greenray("hash", tmp_path)
    )


def test_a_file_that_may_not_be_read_is_refused(hello: Path) -> None:
    if os.geteuid() == 0:
        hello = Path("/proc/self/mem")  # opens, but reading fails: root may read everything else
    else:
        hello.chmod(0)
    assert f"{hello}: the payload cannot be read" in error_of(greenray("hash", hello))


@pytest.mark.parametrize(("k", "m"), [(0, 2), (-1, 2), (4, -1), (255, 2)])
def test_a_shape_that_is_none_is_refused(k: int, m: int, hello: Path) -> None:
    message = error_of(greenray("hash", hello, "-k", k, "-m", m))
    assert f"{k} data and {m} parity shards are not a redundancy shape" in message


def test_an_unknown_codec_is_refused_with_the_known_ones(hello: Path) -> None:
    assert "Use one of auto, isal, zfec, numpy" in error_of(
        greenray("hash", hello, "--codec", "jerasure")
    )


def test_a_segment_of_no_bytes_is_refused(hello: Path) -> None:
    assert "a segment size of 0 bytes is not positive" in error_of(
        greenray("hash", hello, "--segment-size", 0)
    )


@pytest.mark.parametrize(
    "arguments",
    [["--segment-size", "many"], ["--segment-size", "-1"], ["-k", "four"], ["--speed"]],
)
def test_wrong_usage_exits_with_2_and_prints_no_document(arguments: list[str], hello: Path) -> None:
    result = greenray("hash", hello, *arguments, "--json")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Usage: " in result.stderr


def test_an_error_is_one_json_document_too(tmp_path: Path) -> None:
    result = greenray("hash", tmp_path / "nowhere", "--json")
    assert result.exit_code == 1
    error = json.loads(result.stdout)["error"]
    assert error["reason"] == "unreadable-file"
    assert error["retryable"] is False
    assert result.stderr == f"error: {error['message']}\n"
