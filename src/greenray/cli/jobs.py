"""``greenray jobs``: what the journal has, for who runs the network."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from greenray.cli.options import DEFAULT_STATE_DIR, StateDirOption
from greenray.cli.output import Json, command_app, print_result, reporting_errors

if TYPE_CHECKING:
    from greenray.protocol.job_outlook import JobOutlook

app = command_app(help="List jobs and what they wait for; retry or give up a stuck one.")

JobName = Annotated[
    str, typer.Argument(metavar="JOB", help="Its number, or BUCKET/OBJECT (the newest job of it).")
]


@app.command("list")
def list_(
    state: Annotated[
        str | None,
        typer.Option(
            "--state",
            help="Only jobs in this state: its name or number; SEAL_OBJECT_DONE needs no --all.",
        ),
    ] = None,
    bucket: Annotated[str | None, typer.Option("--bucket", help="Only of this bucket.")] = None,
    sp: Annotated[
        str | None, typer.Option("--sp", help="Only of the SP with this operator address.")
    ] = None,
    stuck: Annotated[
        bool, typer.Option("--stuck", help="Only jobs that failed and have not gone on since.")
    ] = False,
    finished: Annotated[
        bool, typer.Option("--all", help="Also jobs that are sealed or given up.")
    ] = False,
    state_dir: StateDirOption = DEFAULT_STATE_DIR,
    as_json: Json = False,
) -> None:
    """Jobs that have not ended, oldest first; the network may run or not."""
    from greenray.cluster.config.state_dir import StateDir
    from greenray.cluster.jobs import find_jobs, parse_state
    from greenray.protocol.job_outlook import JobFilter

    with reporting_errors(as_json):
        wanted = JobFilter(
            None if state is None else parse_state(state), bucket, sp, stuck, finished
        )
        jobs = find_jobs(StateDir(state_dir).job_store_file, wanted)
        text = "\n".join(map(_line, jobs)) or "no jobs"
        print_result({"jobs": [job.to_json() for job in jobs]}, text, as_json)


@app.command()
def show(
    name: JobName, state_dir: StateDirOption = DEFAULT_STATE_DIR, as_json: Json = False
) -> None:
    """One job, why it failed and what it waits for."""
    from greenray.cluster.config.state_dir import StateDir
    from greenray.cluster.jobs import find_job

    with reporting_errors(as_json):
        job = find_job(StateDir(state_dir).job_store_file, name)
        print_result(job.to_json(), _paragraph(job), as_json)


@app.command()
def retry(
    name: JobName, state_dir: StateDirOption = DEFAULT_STATE_DIR, as_json: Json = False
) -> None:
    """Go on with a job of the running network now, however long its next retry is off."""
    with reporting_errors(as_json):
        job = asyncio.run(_operate(name, state_dir, give_up=False))
        print_result({"retried": job.job_id}, f"job {job.job_id} of {job.name} goes on", as_json)


@app.command("give-up")
def give_up(
    name: JobName, state_dir: StateDirOption = DEFAULT_STATE_DIR, as_json: Json = False
) -> None:
    """Never try a job of the running network again; its object is rejected where the chain can."""
    with reporting_errors(as_json):
        job = asyncio.run(_operate(name, state_dir, give_up=True))
        print_result(
            {"given_up": job.job_id}, f"job {job.job_id} of {job.name} is given up", as_json
        )


async def _operate(name: str, state_dir: Path, *, give_up: bool) -> JobOutlook:
    from greenray.client.network_health import answering_network
    from greenray.cluster.config.state_dir import StateDir
    from greenray.cluster.jobs import attached_operator, find_job

    network = await answering_network(state_dir)
    job = find_job(StateDir(state_dir).job_store_file, name)
    operator = attached_operator(network)
    if give_up:
        await operator.give_up(job.sp_address, job.job_id)
    else:
        await operator.retry_now(job.sp_address, job.job_id)
    return job


def _line(job: JobOutlook) -> str:
    retry = "" if job.next_retry_in_s is None else f", due in {job.next_retry_in_s:.0f} s"
    outlook = f"  waits for {job.waits_for}{retry}" if job.waits_for else ""
    if job.final and not job.sealed:
        outlook = "  has ended, is not tried again"
    return (
        f"{job.job_id:6}  {job.name}  {job.state.name}  {job.age_s:.0f} s old, "
        f"{job.retries} retries{outlook}"
    )


def _paragraph(job: JobOutlook) -> str:
    lines = [_line(job), f"  object {job.object_id} at {job.sp_address}"]
    if job.error is not None:
        lines.append(f"  {job.error.reason}: {job.error.message}")
    return "\n".join(lines)
