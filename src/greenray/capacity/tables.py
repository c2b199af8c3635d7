"""From measured stages to a cluster, as tables and pictures for notebooks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from greenray.capacity.planning import (
    Capacity,
    CapacityModel,
    ClusterNeed,
    Load,
    MemoryNeed,
    NodeSize,
    StageCost,
)
from greenray.display.html_table import html_table
from greenray.display.plot import Line, Plot, draw_lines, finished, new_axes
from greenray.display.units import number

_GB = 1e9
_SIMULATED = "simulated from measured stage costs"


@dataclass(frozen=True, slots=True)
class StageTable:
    """What each stage costs, and where that was measured."""

    stages: tuple[StageCost, ...]
    measured_on: str

    @property
    def cpu_s_per_gb(self) -> float:
        return sum(stage.cpu_s_per_gb for stage in self.stages)

    @property
    def cpu_s_per_object(self) -> float:
        return sum(stage.cpu_s_per_object for stage in self.stages)

    def _repr_html_(self) -> str:
        rows = [
            (
                stage.name,
                stage.place.value,
                f"{stage.cpu_s_per_gb:.2f}",
                f"{stage.serial_s_per_gb:.2f}",
                f"{1e3 * stage.cpu_s_per_object:.1f}",
                f"{1e3 * stage.serial_s_per_object:.1f}",
            )
            for stage in self.stages
        ]
        per_gb, per_object = f"{self.cpu_s_per_gb:.2f}", f"{1e3 * self.cpu_s_per_object:.1f}"
        return html_table(
            f"CPU time by stage, {self.measured_on}",
            (
                "stage",
                "processes",
                "s per GB",
                "of that one thread",
                "ms per object",
                "of that one thread",
            ),
            [*rows, ("all", "", per_gb, "", per_object, "")],
        )

    def plot(self) -> Plot:
        """CPU seconds per GB, and what of it one thread has to do."""
        axes = new_axes("What a GB of payload costs, stage by stage", height_inches=4.4)
        names = [stage.name for stage in self.stages]
        axes.barh(
            names, [s.cpu_s_per_gb for s in self.stages], color="#56B4E9", label="all processes"
        )
        axes.barh(
            names,
            [s.serial_s_per_gb for s in self.stages],
            height=0.35,
            color="#0072B2",
            label="busiest threads",
        )
        axes.invert_yaxis()
        axes.set_xlabel("CPU seconds per GB of payload (shorter is better)")
        return finished(axes, self.measured_on)


def plan_capacity(
    stages: Iterable[StageCost],
    node: NodeSize,
    load: Load,
    *,
    memory: MemoryNeed | None = None,
    utilisation: float = 0.7,
) -> CapacityPlan:
    """What clusters of such nodes take. Raises InvalidInput."""
    model = CapacityModel(tuple(stages), node, load, memory or MemoryNeed(), utilisation)
    return CapacityPlan(model)


@dataclass(frozen=True, slots=True)
class CapacityPlan:
    model: CapacityModel

    def needed_for(self, *throughputs_gb_s: float) -> NeedTable:
        """The smallest clusters that take so much. Raises InvalidInput."""
        return NeedTable(tuple(self.model.needed_for(wanted) for wanted in throughputs_gb_s))

    def scaled(self, nodes: Iterable[int] = range(1, 65)) -> CapacityTable:
        """The same load on clusters of these sizes."""
        return CapacityTable(self.model.scaled(nodes), self.model.utilisation)


@dataclass(frozen=True, slots=True)
class NeedTable:
    needs: tuple[ClusterNeed, ...]

    def _repr_html_(self) -> str:
        columns = [
            (
                "no number is enough" if need.nodes is None else need.nodes,
                need.limited_by,
                f"{need.cores:.0f}",
                "" if need.memory_bytes is None else f"{need.memory_bytes / _GB:.0f} GB",
                ""
                if need.link_gb_s_per_node is None
                else f"{8 * need.link_gb_s_per_node:.1f} Gbit/s",
                f"{need.written_gb_s:.1f} GB/s",
                need.disks,
                f"{need.stored_tb_per_day:.0f} TB",
                f"{need.seals_per_s:.1f}",
            )
            for need in self.needs
        ]
        names = (
            "nodes",
            "which are limited by",
            "cores, all nodes",
            "memory, all nodes",
            "link of each node",
            "written",
            "disks",
            "stored a day",
            "seals per second",
        )
        return html_table(
            f"what is needed ({_SIMULATED})",
            ("for", *(f"{need.throughput_gb_s:g} GB/s" for need in self.needs)),
            [(name, *cells) for name, *cells in zip(names, *columns, strict=True)],
        )


@dataclass(frozen=True, slots=True)
class CapacityTable:
    capacities: tuple[Capacity, ...]
    utilisation: float

    def _repr_html_(self) -> str:
        return html_table(
            f"throughput by nodes ({_SIMULATED}; {self.utilisation:.0%} of every resource)",
            ("nodes", "GB/s", "GB/s per node", "limited by", "seals per second"),
            (
                (
                    one.nodes,
                    number(one.throughput_gb_s),
                    number(one.throughput_gb_s / one.nodes),
                    one.limited_by,
                    f"{one.seals_per_s:.1f}",
                )
                for one in self.capacities
            ),
        )

    def plot(self, resources: int = 5) -> Plot:
        """The throughput, and the ``resources`` that limit it most at the end."""
        axes = new_axes("What a cluster takes, and what each resource would allow")
        nodes = [one.nodes for one in self.capacities]
        last = self.capacities[-1].limits
        scarcest = sorted(last, key=lambda name: last[name])[:resources]
        rates = {
            name: [self.utilisation * one.limits[name] for one in self.capacities]
            for name in scarcest
        }
        draw_lines(axes, [Line(name, nodes, ys, ys, ys) for name, ys in rates.items()])
        throughput = [one.throughput_gb_s for one in self.capacities]
        axes.plot(nodes, throughput, color="0.75", linewidth=7, zorder=0, label="the cluster")
        axes.set_xlabel("nodes")
        axes.set_ylabel("GB/s of payload, put to sealed")
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks(nodes, [str(count) for count in nodes])
        return finished(axes, f"{_SIMULATED}; {self.utilisation:.0%} of every resource")
