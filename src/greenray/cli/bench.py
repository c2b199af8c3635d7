"""``greenray bench``: one tool for all questions of speed."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from greenray.cli.bench_answer import ec_result, show_answer
from greenray.cli.bench_options import (
    SharedOptions,
    Workers,
    parse_positive_size,
    parse_rate,
    parse_shape,
    sizes_option,
    with_shared_options,
)
from greenray.cli.bench_output import fail_if_failed, show, show_comparison, warn_if_busy
from greenray.cli.output import Json, command_app, note, print_result, reporting_errors

app = command_app()


@app.callback()
def bench() -> None:
    """Measure what each stage costs, beside what the machine allows.

    Settings that are not options here come from --config and GREENRAY_... variables.
    """
    # SIGTERM ends a run like Ctrl-C: the network is stopped and its directory removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


# --- what one stage costs ------------------------------------------------------------------------


@app.command()
@with_shared_options(without=("sps", "config"))
def ec(
    shared: SharedOptions,
    codec: Annotated[
        list[str] | None,
        typer.Option(help="May be repeated. All that are there, the fastest for all shapes."),
    ] = None,
    shape: Annotated[
        list[str] | None,
        typer.Option(metavar="K+M", help="May be repeated. 4+2, 6+3, 8+3, 10+4, 16+4; quick: 4+2."),
    ] = None,
    segment_size_bytes: Annotated[
        list[int] | None, sizes_option("--segment-size", "1, 4 and 16 MiB; quick: 16MiB.")
    ] = None,
    workers: Workers = None,
    worker_kind: Annotated[
        list[str] | None,
        typer.Option(
            help="May be repeated. threads, processes, ray tasks, ray batch tasks, ray actors, "
            "ray shared tasks and ray shared actors."
        ),
    ] = None,
    batch_segments: Annotated[
        int, typer.Option(min=1, help="Segments of each call, of batch and shared kinds.")
    ] = 4,
    wanted: Annotated[
        str | None,
        typer.Option(
            "--answer",
            metavar="RATE",
            help="Such as 10GB/s: how many cores encoding at this rate takes, by way.",
        ),
    ] = None,
    kept: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="PATH",
            help="With --answer: from this result file, or the directory of --out; nothing is "
            "measured.",
        ),
    ] = None,
) -> None:
    """Encode and reconstruct by codec, k+m, segment size, workers and kind of worker."""
    shapes = tuple(map(parse_shape, shape or ()))
    wanted_gb_s = None if wanted is None else parse_rate(wanted)
    chosen = {
        "codec": codec or (),
        "segment_size_bytes": segment_size_bytes or (),
        "worker_kind": worker_kind or (),
        "workers": workers or (),
    }
    if kept is not None:
        if wanted_gb_s is None:
            raise typer.BadParameter(
                "needs --answer, which says what to read there", param_hint="--from"
            )
        kept_result = ec_result(kept)
        show_answer(kept_result, wanted_gb_s, shapes, chosen, shared.as_json)
        warn_if_busy(kept_result)
        return
    from greenray.bench.ec import run_ec

    usual = shared.plan(writes=False).ec()
    options = replace(
        usual,
        codecs=tuple(codec or usual.codecs),
        shapes=shapes or usual.shapes,
        segment_sizes_bytes=tuple(segment_size_bytes or usual.segment_sizes_bytes),
        workers=tuple(workers or usual.workers),
        worker_kinds=tuple(worker_kind or usual.worker_kinds),
        codecs_everywhere=bool(codec),
        batch_segments=batch_segments,
    )
    result = run_ec(options, note)
    if wanted_gb_s is None:
        shared.finish(result)
        return
    shared.keep(result)
    document = result.to_json()
    if shared.as_json:
        warn_if_busy(document)
    else:
        show(document)
    sizes = {"segment_size_bytes": chosen["segment_size_bytes"]}  # all else that was measured
    show_answer(document, wanted_gb_s, (), sizes, shared.as_json)
    fail_if_failed(result.failures)


@app.command("hash")
@with_shared_options(without=("sps", "work_dir", "config"))
def hash_command(
    shared: SharedOptions,
    workers: Workers = None,
) -> None:
    """SHA-256 of one stream, of many, and of a segment with its pieces."""
    from greenray.bench.hash import run_hash

    usual = shared.plan(writes=False).hash()
    options = replace(usual, workers=tuple(workers or usual.workers))
    shared.finish(run_hash(options, note))


@app.command()
@with_shared_options(without=("sps",))
def store(
    shared: SharedOptions,
    kind: Annotated[
        list[str] | None,
        typer.Option(help="May be repeated: file, memory, and the kind of pieces.url in --config."),
    ] = None,
    column_size_bytes: Annotated[
        list[int] | None, sizes_option("--column-size", "10KB, 4MiB and 64MiB; quick: no 4MiB.")
    ] = None,
    workers: Workers = None,
) -> None:
    """Write and read columns by kind of piece store, durable or not."""
    from greenray.bench.store import run_store

    usual = shared.plan().store()
    options = replace(
        usual,
        kinds=tuple(kind or usual.kinds),
        column_sizes_bytes=tuple(column_size_bytes or usual.column_sizes_bytes),
        workers=tuple(workers or usual.workers),
    )
    shared.finish(run_store(options, note))


@app.command()
@with_shared_options()
def gateway(
    shared: SharedOptions,
    object_size_bytes: Annotated[
        list[int] | None, sizes_option("--object-size", "16MiB and 256MiB; quick: 64MiB.")
    ] = None,
) -> None:
    """PUT and GET through HTTP, and the floor: a plain process that hashes and stores as well."""
    from greenray.bench.gateway import run_gateway

    usual = shared.plan().gateway()
    sizes = tuple(object_size_bytes or usual.object_sizes_bytes)
    shared.finish(run_gateway(replace(usual, object_sizes_bytes=sizes), note))


@app.command()
@with_shared_options(without=("sps",))
def seal(
    shared: SharedOptions,
    seals: Annotated[
        int | None, typer.Option(min=1, help="In each repeat; 1500, or 300 with --quick.")
    ] = None,
) -> None:
    """Seals per second, of the embedded chain alone and through the Signer."""
    from greenray.bench.seal import run_seal

    usual = shared.plan().seal()
    shared.finish(run_seal(replace(usual, seals=seals or usual.seals), note))


# --- the whole way -------------------------------------------------------------------------------


@app.command()
@with_shared_options()
def small(
    shared: SharedOptions,
    object_size_bytes: Annotated[
        int | None,
        typer.Option("--object-size", parser=parse_positive_size, metavar="SIZE", help="10KB."),
    ] = None,
    objects: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="In each repeat; 400, and 1000 with their creation; 30 with --quick.",
        ),
    ] = None,
    parallel: Annotated[
        list[int] | None,
        typer.Option(min=1, help="Uploads at once; may be repeated. 1 and 32; quick: 16."),
    ] = None,
) -> None:
    """Many small objects from put to sealed: created before, and created, put and sealed as one act
    by one user, by two clients of one user, by two users; and 200 objects of 1 MiB."""
    from greenray.bench.small import run_small

    usual = shared.plan().small()
    options = replace(
        usual,
        object_size_bytes=object_size_bytes or usual.object_size_bytes,
        objects=objects or usual.objects,
        act_objects=objects or usual.act_objects,
        objects_in_parallel=tuple(parallel or usual.objects_in_parallel),
    )
    shared.finish(run_small(options, note))


@app.command()
@with_shared_options()
def bundle(
    shared: SharedOptions,
    file_size_bytes: Annotated[
        int | None,
        typer.Option("--file-size", parser=parse_positive_size, metavar="SIZE", help="10KB."),
    ] = None,
    files: Annotated[
        int | None, typer.Option(min=1, help="In each repeat; 10000, or 1000 with --quick.")
    ] = None,
) -> None:
    """Thousands of small files as one object, from the command's start to sealed, and back."""
    from greenray.bench.bundle import run_bundle

    usual = shared.plan().bundle()
    options = replace(
        usual,
        file_size_bytes=file_size_bytes or usual.file_size_bytes,
        files=files or usual.files,
    )
    shared.finish(run_bundle(options, note))


@app.command()
@with_shared_options()
def pipeline(
    shared: SharedOptions,
    object_size_bytes: Annotated[
        list[int] | None, sizes_option("--object-size", "1GiB; quick: 256MiB.")
    ] = None,
    parallel: Annotated[
        list[int] | None, typer.Option(min=1, help="Objects at once; may be repeated. 1.")
    ] = None,
    in_turn: Annotated[
        list[int] | None,
        typer.Option(
            min=1,
            help="Objects of one client, each when the one before is answered, as a case beside; "
            "may be repeated; 1: none. 8; quick: none.",
        ),
    ] = None,
    batch_segments: Annotated[
        list[int] | None,
        typer.Option(min=1, max=64, help="May be repeated, each in a network of its own."),
    ] = None,
    codec: Annotated[
        list[str] | None, typer.Option(help="May be repeated, each in a network of its own.")
    ] = None,
    way: Annotated[
        list[str] | None,
        typer.Option(help="May be repeated: http, object-store (the payload lies in Ray). http."),
    ] = None,
) -> None:
    """Put to sealed, and the floor: plain processes that do only the unavoidable."""
    from greenray.bench.pipeline import run_pipeline, way_of

    usual = shared.plan().pipeline()
    options = replace(
        usual,
        object_sizes_bytes=tuple(object_size_bytes or usual.object_sizes_bytes),
        objects_in_parallel=tuple(parallel or usual.objects_in_parallel),
        in_turn=tuple(in_turn or usual.in_turn),
        codecs=tuple(codec or ()),
        batch_segments=tuple(batch_segments or ()),
        ways=tuple(map(way_of, way)) if way else usual.ways,
    )
    shared.finish(run_pipeline(options, note))


@app.command()
@with_shared_options()
def scaling(shared: SharedOptions) -> None:
    """What a second core brings to each stage; what more nodes would bring (simulated)."""
    from greenray.bench.scaling import run_scaling

    shared.finish(run_scaling(shared.plan().scaling(), note))


@app.command()
@with_shared_options()
def memory(
    shared: SharedOptions,
    object_size_bytes: Annotated[
        list[int] | None,
        sizes_option(
            "--object-size", "From small to large; 256MiB and 2GiB; quick: 64MiB and 256MiB."
        ),
    ] = None,
) -> None:
    """The peak memory of all server processes, for small and large objects."""
    from greenray.bench.memory import run_memory

    usual = shared.plan().memory()
    sizes = tuple(object_size_bytes or usual.object_sizes_bytes)
    shared.finish(run_memory(replace(usual, object_sizes_bytes=sizes), note))


@app.command()
@with_shared_options()
def scrub(
    shared: SharedOptions,
    object_size_bytes: Annotated[
        int | None,
        typer.Option(
            "--object-size", parser=parse_positive_size, metavar="SIZE", help="1GiB; quick: 256MiB."
        ),
    ] = None,
) -> None:
    """A scrub beside a plain loop that reads and hashes, and what one costs an upload.

    That is told beside what two uploads differ by; 9 repeats, or 3 with --quick.
    """
    from greenray.bench.scrub import run_scrub

    usual = shared.plan().scrub()
    size_bytes = object_size_bytes or usual.object_size_bytes
    shared.finish(run_scrub(replace(usual, object_size_bytes=size_bytes), note))


@app.command("list")
@with_shared_options(without=("sps", "config"))
def list_command(
    shared: SharedOptions,
    objects: Annotated[
        int | None, typer.Option(min=1, help="In the bucket: 1000000; quick: 100000.")
    ] = None,
) -> None:
    """Pages of a large bucket from the index, without HTTP."""
    from greenray.bench.lists import run_list

    usual = shared.plan(writes=False).list()
    shared.finish(run_list(replace(usual, objects=objects or usual.objects), note))


@app.command()
@with_shared_options()
def timeline(
    shared: SharedOptions,
    object_size_bytes: Annotated[
        int | None,
        typer.Option(
            "--object-size", parser=parse_positive_size, metavar="SIZE", help="1GiB; quick: 256MiB."
        ),
    ] = None,
) -> None:
    """How long each stage of one object takes, and where cores are idle."""
    from greenray.bench.timeline import run_timeline

    usual = shared.plan().timeline()
    size_bytes = object_size_bytes or usual.object_size_bytes
    shared.finish(run_timeline(replace(usual, object_size_bytes=size_bytes), note))


@app.command("all")
@with_shared_options()
def all_command(shared: SharedOptions) -> None:
    """All of the above but bundle, list, memory, scrub, timeline; --quick takes under 3 minutes."""
    from greenray.bench.plans import combined, run_all

    plan = shared.plan()
    results = []
    for result in run_all(plan, note):
        shared.keep(result)
        if not shared.as_json:
            show(result.to_json())
        results.append(result)
    document = combined(results, plan)
    if shared.as_json:
        print_result(document, "", as_json=True)
    fail_if_failed(document["failures"])


# --- results -------------------------------------------------------------------------------------


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="A result, or a directory of them.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="The same, measured later.")],
    as_json: Json = False,
) -> None:
    """What changed from A to B beyond noise."""
    with reporting_errors(as_json):
        from greenray.bench.compare import compare as compared
        from greenray.bench.records import read_results

        comparison = compared(read_results(first), read_results(second))
        if as_json:
            print_result(comparison.to_json(), "", as_json)
        else:
            show_comparison(comparison)


@app.command()
def plot(
    results: Annotated[
        Path, typer.Argument(metavar="PATH", help="A result, or a directory of them.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where to draw.")] = Path(),
) -> None:
    """Draw a PNG of each result that was kept with --out."""
    with reporting_errors(as_json=False):
        from greenray.bench.plots import draw
        from greenray.bench.records import read_results
        from greenray.bench.trust import several_machines_mark

        documents = read_results(results)
        mark = several_machines_mark(documents)
        for document in documents:
            note(f"drawn: {draw(document, out, mark)}")
        if mark:
            note(f"warning: {results} has results of several machines")


@app.command()
def report(
    directory: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="With results of --out; those in DIR/before are set beside them."
        ),
    ],
    peers: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="Markdown with a section '2. Peers': other systems beside our medians.",
        ),
    ] = None,
) -> None:
    """docs/performance.md, on stdout, from result files."""
    with reporting_errors(as_json=False):
        from greenray.bench.report import report as report_on

        typer.echo(report_on(directory, peers), nl=False)
