"""A timeline as text: a row for each stage, one character for each part of the time."""

from __future__ import annotations

from collections.abc import Iterator

from greenray.display.units import format_size
from greenray.protocol.layout import SEGMENTS
from greenray.timeline.values import MissingStage, NodeCpu, Timeline, covered_shares

_SHADES = " ░▒▓█"
_LABEL_WIDTH = 23
_NUMBERS_WIDTH = 18
_SMALLEST_BAR = 20
_GAPS = 5
_GAP_SHARE = 0.01
_STATE_SHARE = 0.01


def picture(timeline: Timeline, width: int) -> str:
    """Lines of ``width`` characters where it can be done."""
    bar = max(_SMALLEST_BAR, width - _LABEL_WIDTH - _NUMBERS_WIDTH)
    return "\n".join(
        [
            *_head(timeline),
            *_axis(timeline, bar),
            *_states(timeline, bar),
            *_stages(timeline, bar),
            *(line for node in timeline.cpu for line in _idle(timeline, node, bar)),
            *_gaps(timeline),
            *_notes(timeline),
        ]
    )


def _head(timeline: Timeline) -> Iterator[str]:
    yield (
        f"{timeline.name}: {timeline.state.name}, object {timeline.object_id}, "
        f"{format_size(timeline.payload_size_bytes)} in {timeline.batches} "
        f"{'batch' if timeline.batches == 1 else 'batches'}"
    )


def _axis(timeline: Timeline, bar: int) -> Iterator[str]:
    end = f"{timeline.end_s:.3f} s"
    yield f"{'':{_LABEL_WIDTH}}0 s{end:>{bar - 3}}{'busy s':>9}{'MB/s':>9}"


def _line(label: str, shares: list[float], numbers: str = "") -> str:
    bar = "".join(_SHADES[_shade(share)] for share in shares)
    return f"{label:{_LABEL_WIDTH - 1}.{_LABEL_WIDTH - 1}} {bar}{numbers}".rstrip()


def _shade(share: float) -> int:
    """What is there at all is seen; only what fills its part is solid."""
    if share <= 0.0:
        return 0
    return 4 if share > 0.995 else 1 + min(2, int(share * 3))


def _states(timeline: Timeline, bar: int) -> Iterator[str]:
    end_s = timeline.end_s
    for state in timeline.states:
        to_s = end_s if state.end_s is None else state.end_s
        if to_s - state.start_s > _STATE_SHARE * end_s:
            shares = covered_shares([(max(0.0, state.start_s), to_s)], end_s, bar)
            yield _line(state.state.name, shares, f"{to_s - state.start_s:9.3f}")


def _stages(timeline: Timeline, bar: int) -> Iterator[str]:
    for row in timeline.rows:
        mb_s = row.size_bytes / 1e6 / row.busy_s if row.busy_s and row.size_bytes else None
        numbers = f"{row.busy_s:9.3f}" + (f"{mb_s:9.0f}" if mb_s is not None else "")
        failed = f"  {row.failures} failed" if row.failures else ""
        yield _line(row.label, covered_shares(row.busy, timeline.end_s, bar), numbers + failed)


def _idle(timeline: Timeline, node: NodeCpu, bar: int) -> Iterator[str]:
    """The darker, the more cores are idle."""
    if not node.use:
        return
    cores = len(node.use[0].busy_shares)
    part_s = timeline.end_s / bar
    shares = []
    for part in range(bar):
        middle_s = (part + 0.5) * part_s
        idle = [u.idle_cores / cores for u in node.use if u.start_s <= middle_s < u.end_s]
        shares.append(idle[0] if idle else 0.0)
    idle_share = timeline.idle_share()
    where = f" of {node.node}" if len(timeline.cpu) > 1 else ""
    yield _line(f"idle cores{where}", shares, f"   {idle_share:.0%} of {cores}")


def _gaps(timeline: Timeline) -> Iterator[str]:
    gaps = timeline.gaps(_GAP_SHARE * timeline.end_s)[:_GAPS]
    if gaps:
        yield "nothing was worked on for"
    for gap in gaps:
        idle = "" if gap.idle_share is None else f", {gap.idle_share:.0%} of the cores idle"
        waiting = f", waiting: {', '.join(gap.waiting)}" if gap.waiting else ""
        yield f"  {gap.seconds:.3f} s from {gap.start_s:.3f} s{idle}{waiting}"


def _notes(timeline: Timeline) -> Iterator[str]:
    if not timeline.cpu:
        yield "how busy the cores were is not known on this system"
    if not timeline.one_clock:
        yield "several machines: the stages of the others are placed by their unix time"
    for secondary in timeline.secondaries:
        if not secondary.hosted:
            yield (
                f"secondary {secondary.redundancy_index} is not hosted here: only what the sender "
                "saw is known"
            )
    if timeline.silent:
        yield f"did not answer: {', '.join(timeline.silent)}"
    if timeline.missing:
        yield "no longer known (a process was started again, or many objects came after):"
    for missing in timeline.missing:
        yield f"  {_described(missing)}"


def _described(missing: MissingStage) -> str:
    index = missing.redundancy_index
    where = "" if index == SEGMENTS else f" {index}"
    batches = missing.batches
    if not batches:
        return f"{missing.stage.value}{where}"
    some = ", ".join(map(str, batches[:8])) + (", ..." if len(batches) > 8 else "")
    return f"{missing.stage.value}{where}: {len(batches)} of the batches ({some})"
