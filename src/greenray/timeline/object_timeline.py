"""What ``Network.timeline`` returns: a timeline that shows itself in a notebook."""

from __future__ import annotations

from pathlib import Path

from greenray.display.html_table import html_table
from greenray.timeline.perfetto import write_perfetto
from greenray.timeline.picture import picture
from greenray.timeline.values import Timeline

_WIDTH = 120


class ObjectTimeline(Timeline):
    """See ``greenray.timeline.values.Timeline`` for what it can be asked."""

    __slots__ = ()

    def picture(self, width: int = _WIDTH) -> str:
        """What ``greenray status --timeline`` prints."""
        return picture(self, width)

    def save_perfetto(self, path: str | Path) -> Path:
        """A trace for ui.perfetto.dev or chrome://tracing. Raises NoSpaceLeft, StoreError."""
        target = Path(path)
        write_perfetto(self, target)
        return target

    def _repr_html_(self) -> str:
        idle = self.idle_share()
        title = f"{self.name}, object {self.object_id}: {self.end_s:.3f} s"
        if idle is not None:
            title += f", {idle:.0%} of the cores idle"
        stages = html_table(
            title,
            ("stage", "intervals", "from, s", "to, s", "busy s", "summed s", "bytes", "failed"),
            (
                (
                    row.label,
                    len(row.spans),
                    f"{row.busy[0][0]:.3f}",
                    f"{row.busy[-1][1]:.3f}",
                    f"{row.busy_s:.3f}",
                    f"{row.summed_s:.3f}",
                    f"{row.size_bytes:,}",
                    row.failures,
                )
                for row in self.rows
            ),
        )
        gaps = html_table(
            "nothing was worked on",
            ("from, s", "for, s", "cores idle", "waiting"),
            (
                (
                    f"{gap.start_s:.3f}",
                    f"{gap.seconds:.3f}",
                    "" if gap.idle_share is None else f"{gap.idle_share:.0%}",
                    ", ".join(gap.waiting),
                )
                for gap in self.gaps()[:5]
            ),
        )
        return stages + gaps
