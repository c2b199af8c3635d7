"""``bench timeline``: how long each stage of one object is at work, and a timeline to draw.

The network is left alone between the objects, so that all that is seen is of one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median_low
from typing import Any

from greenray.bench.machine_watch import watched
from greenray.bench.records import BenchResult, Case, Row
from greenray.bench.runner import OnStep, result_of
from greenray.bench.site import STORED_PER_BYTE, Site, opened_site
from greenray.capacity.environment import describe_environment
from greenray.cluster.config.settings import Settings
from greenray.cluster.demo import make_payload
from greenray.coding.codec import get_codec
from greenray.display.units import size
from greenray.protocol.layout import SEGMENTS
from greenray.timeline.stage_trace import Stage
from greenray.timeline.values import Timeline, joined


@dataclass(frozen=True, slots=True)
class TimelineOptions:
    """``work_dir``: an existing directory; everything is written in a new one inside it."""

    settings: Settings
    object_size_bytes: int
    repeats: int
    work_dir: Path
    quick: bool = False

    @property
    def needed_bytes(self) -> int:
        """Of disk: every object is removed before the next one."""
        return int(self.object_size_bytes * (STORED_PER_BYTE + 1))


@watched
def run_timeline(options: TimelineOptions, on_step: OnStep) -> BenchResult:
    """``summary`` holds the timeline of the repeat with the median duration, as ``greenray status
    --timeline --json`` prints it. Raises what stops the network or a put; NoTrace."""
    environment = describe_environment({})
    with opened_site(options.settings, options.work_dir, options.needed_bytes, on_step) as site:
        documents, peak_memory_bytes = _put_all(site, options, on_step)
        spilled_bytes = site.network.spilled_bytes()
        settings = site.describe()
        case = _case(site, options.object_size_bytes)
    timelines = [Timeline.from_json(document) for document in documents]
    seconds = [timeline.end_s for timeline in timelines]
    return result_of(
        "timeline",
        options.quick,
        {**environment, "settings": {"repeats": options.repeats, **settings}},
        _rows(case, timelines),
        {"timeline": documents[seconds.index(median_low(seconds))]},
        peak_memory_bytes,
        spilled_bytes,
    )


def _put_all(
    site: Site, options: TimelineOptions, on_step: OnStep
) -> tuple[list[Mapping[str, Any]], int]:
    """Timelines of all repeats, and the peak memory; the first put is the warm-up."""
    source = site.root / "payload"
    make_payload(source, options.object_size_bytes)
    documents, peaks = [], []
    for number in range(options.repeats + 1):
        [name] = names = site.network.new_names(1)
        put = site.network.put(source, names, at_once=1, warm_up=number == 0)
        document = site.network.timeline(name)
        site.network.remove_columns(put.times.object_ids)
        peaks.append(put.peak_memory_bytes)
        if number:
            documents.append(document)
        what = f"repeat {number}" if number else "warm-up"
        seconds = put.upload_to_sealed_s
        on_step(f"{size(options.object_size_bytes)}, {what}: put to sealed in {seconds:.2f} s")
    return documents, max(peaks)


def _case(site: Site, size_bytes: int) -> Case:
    params = site.network.params
    return Case(
        "object",
        codec=get_codec(site.settings.codec).name,
        k=params.k,
        m=params.m,
        segment_size_bytes=params.max_segment_size_bytes,
        object_size_bytes=size_bytes,
        batch_segments=site.settings.batch_segments,
        durable=site.settings.durable,
    )


def _rows(case: Case, timelines: Sequence[Timeline]) -> list[Row]:
    """Of the whole object, and of each stage that was there in any repeat."""
    rows = [
        _row(case, "first to last stage", "s", [timeline.end_s for timeline in timelines]),
        _row(case, "nothing at work", "s", [_unworked_s(timeline) for timeline in timelines]),
    ]
    idle = [timeline.idle_share() for timeline in timelines]
    known = [share * 100 for share in idle if share is not None]
    if known:
        rows.append(_row(case, "idle cores", "%", known))
    for stage in Stage:
        for kind, of_primary in ((stage.value, True), (f"{stage.value}, all secondaries", False)):
            seconds = [_at_work_s(timeline, stage, of_primary) for timeline in timelines]
            if any(seconds):
                rows.append(_row(replace(case, kind=kind), "in progress", "s", seconds))
    return rows


def _row(case: Case, metric: str, unit: str, values: Sequence[float]) -> Row:
    return Row(case, metric, unit, tuple(values), higher_is_better=False)


def _unworked_s(timeline: Timeline) -> float:
    return sum(gap.seconds for gap in timeline.gaps())


def _at_work_s(timeline: Timeline, stage: Stage, of_primary: bool) -> float:
    """In how much time it was in progress for at least one batch."""
    spans = joined(
        (span.start_s, span.end_s)
        for span in timeline.stages
        if span.stage is stage and (span.redundancy_index == SEGMENTS) is of_primary
    )
    return sum(end - start for start, end in spans)
