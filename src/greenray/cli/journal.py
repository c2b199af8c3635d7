"""``greenray journal``: the file of all jobs, checked and copied."""

from __future__ import annotations

import itertools
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from greenray.cli.options import (
    DEFAULT_STATE_DIR,
    ChainEndpointOption,
    ConfigOption,
    KeysOption,
    StateDirOption,
    chain_overrides,
)
from greenray.cli.output import Json, command_app, note, print_result, reporting_errors

if TYPE_CHECKING:
    from greenray.storage.journal_file import JournalSummary

app = command_app(help="Check the journal, back it up, restore it, make it again.")


@app.command()
def check(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="A backup; else the journal of the state directory."),
    ] = None,
    state_dir: StateDirOption = DEFAULT_STATE_DIR,
    as_json: Json = False,
) -> None:
    """Read the whole journal and say whether it is intact; the network may run."""
    from greenray.cluster.config.state_dir import StateDir
    from greenray.storage.journal_file import check_journal

    with reporting_errors(as_json):
        journal = StateDir(state_dir).job_store_file if file is None else file
        _print_summary("intact", check_journal(journal, thorough=True), as_json)


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file.")],
    state_dir: StateDirOption = DEFAULT_STATE_DIR,
    as_json: Json = False,
) -> None:
    """Copy the journal to FILE and check the copy; the network may run."""
    from greenray.cluster.config.state_dir import StateDir
    from greenray.storage.journal_file import back_up

    with reporting_errors(as_json):
        summary = back_up(StateDir(state_dir).job_store_file, file)
        _print_summary("backed up", summary, as_json)


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What 'journal backup' has made.")],
    state_dir: StateDirOption = DEFAULT_STATE_DIR,
    as_json: Json = False,
) -> None:
    """Put a backup in the place of the journal, which is kept; the network must not run."""
    from greenray.cluster.config.state_dir import StateDir
    from greenray.storage import journal_file

    with reporting_errors(as_json):
        state = StateDir(state_dir)
        with state.locked():
            aside = _unused_name(state.job_store_file)
            summary = journal_file.restore(file, state.job_store_file, aside)
        if aside.exists():
            note(f"the journal that was there is kept as {aside}")
        _print_summary("restored", summary, as_json)


@app.command()
def rebuild(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]",
            help="A new file; else the place of a journal that is lost or damaged.",
        ),
    ] = None,
    state_dir: Annotated[Path | None, typer.Option("--state-dir")] = None,
    config: ConfigOption = None,
    chain_endpoint: ChainEndpointOption = None,
    keys: KeysOption = None,
    accept_rollback: Annotated[
        bool,
        typer.Option(
            "--accept-rollback",
            help="From a chain that was put back to an older copy; 'up' has to be told as well.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a journal from the chain and the stored pieces; the network must not run.

    It has the sealed objects and the checksums that are proved by the chain. What is not there, and
    why, is listed. A journal that was there is kept.
    """
    from greenray.cluster.config.settings_loading import load_settings
    from greenray.cluster.config.state_dir import StateDir
    from greenray.cluster.journal_rebuild import rebuild_into

    with reporting_errors(as_json):
        settings = load_settings(
            config, state_dir=state_dir, chain=chain_overrides(chain_endpoint, keys)
        )
        state = StateDir(settings.state_dir)
        journal = state.job_store_file
        with state.locked():
            aside = _unused_name(journal)
            rebuilt, summary = rebuild_into(
                settings,
                journal if file is None else file,
                aside,
                note,
                accept_rollback=accept_rollback,
            )
        if aside.exists():
            note(f"the journal that was there is kept as {aside}")
        for each in rebuilt.not_rebuilt:
            note(f"not rebuilt: {each}")
        document = asdict(summary) | {"path": str(summary.path)} | rebuilt.to_json()
        print_result(document, _summary_text("rebuilt", summary), as_json)


def _unused_name(journal: Path) -> Path:
    """Beside the journal, for the one that is there."""
    stem = f"{journal.name}.before-{time.strftime('%Y%m%dT%H%M%S')}"
    names = (journal.with_name(f"{stem}-{number}") for number in itertools.count(1))
    return next(name for name in names if not name.exists())


def _print_summary(done: str, summary: JournalSummary, as_json: bool) -> None:
    document = asdict(summary) | {"path": str(summary.path)}
    print_result(document, _summary_text(done, summary), as_json)


def _summary_text(done: str, summary: JournalSummary) -> str:
    return (
        f"{done}: {summary.path}, {summary.size_bytes} bytes, {summary.jobs} jobs "
        f"({summary.unfinished} unfinished), {summary.integrity_records} integrity records, "
        f"{summary.transactions} transactions"
    )
