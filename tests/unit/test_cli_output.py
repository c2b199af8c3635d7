"""What all commands share: sizes, errors, and loading nothing that is not needed."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from greenray.cli.app import COMMANDS, app
from greenray.cli.output import parse_size, reporting_errors
from greenray.display.units import format_size
from greenray.protocol.errors import ChainUnavailable


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("0", 0),
        ("4096", 4096),
        ("4096B", 4096),
        ("256MiB", 256 << 20),
        ("256 mib", 256 << 20),
        ("1Gi", 1 << 30),
        ("1g", 10**9),
        ("1.5GB", 1_500_000_000),
        ("0.5KiB", 512),
        (" 7k ", 7000),
    ],
)
def test_sizes_are_read_as_people_write_them(text: str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize("text", ["", "-1", "MiB", "1.5", "1e6", "0x10", "10 apples", "1..5k", "٣"])
def test_what_is_no_size_is_wrong_usage(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        parse_size(text)


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0 B"), (999, "999 B"), (1024, "1 KiB"), (16 << 20, "16 MiB"), (1 << 41, "2048 GiB")],
)
def test_sizes_are_written_for_people(size_bytes: int, text: str) -> None:
    assert format_size(size_bytes) == text


def test_a_retryable_error_says_so_in_its_document(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as exit_, reporting_errors(as_json=True):
        raise ChainUnavailable("no\nanswer", "127.0.0.1:1", "Start it")
    assert exit_.value.exit_code == 1
    out, err = capsys.readouterr()
    assert '"retryable": true' in out
    assert err == "error: 127.0.0.1:1: no answer. Start it\n"


def test_an_interrupt_exits_with_130() -> None:
    with pytest.raises(typer.Exit) as exit_, reporting_errors(as_json=False):
        raise KeyboardInterrupt
    assert exit_.value.exit_code == 130


def test_a_defect_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError), reporting_errors(as_json=True):
        _ = 1 // 0


@pytest.mark.parametrize("name", COMMANDS)
def test_every_listed_command_can_be_loaded_and_explains_itself(name: str) -> None:
    result = CliRunner().invoke(app, [name, "--help"], prog_name="greenray")
    assert result.exit_code == 0
    assert f"Usage: greenray {name}" in result.stdout


def test_a_misspelt_command_is_answered_with_the_nearest() -> None:
    result = CliRunner().invoke(app, ["hsh"])
    assert result.exit_code == 2
    assert "Did you mean 'hash'?" in result.stderr
