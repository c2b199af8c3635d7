"""Looks at every component of a running network again and again, and has it restored."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from greenray.client.network_health import NetworkHealth
from greenray.cluster.supervision.pulse import Pulse
from greenray.cluster.supervision.rules import (
    ComponentFailure,
    Remedy,
    Vital,
    health_of,
    recent,
    remedy,
    too_many,
)
from greenray.cluster.supervision.settings import SupervisionSettings
from greenray.protocol.errors import ClusterLost, GreenrayError, NetworkFailed, StateLost

log = logging.getLogger(__name__)

_RUNTIME = "Ray"
_RENEWAL_PAUSE_S = 1.0
_NEXT_STEP = "Look into its logs, then start it again"


class Supervised(Protocol):
    """The network, as its supervisor sees it."""

    def pulses(self) -> Sequence[Pulse]:
        """Of all its components now; one component has the same as long as it is the same."""

    def check_place(self) -> None:
        """Raises StateLost: where it keeps its state is no longer its own."""

    async def renew(self) -> None:
        """End all of Ray and start it again, with all actors, on the same ports. Raises why that
        cannot be; ClusterLost when it is not ours to start."""


class Supervisor:
    """``run`` and ``health`` share rounds; both are called in one event loop."""

    def __init__(
        self,
        network: Supervised,
        settings: SupervisionSettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._network = network
        self._settings = settings
        self._clock = clock
        self._round = asyncio.Lock()
        self._vitals: dict[str, Vital] = {}
        self._processes: dict[str, int] = {}
        self._failures: tuple[ComponentFailure, ...] = ()
        self._given_up: NetworkFailed | None = None
        self._renewing = ""
        self._looked_at_s = clock()

    async def run(self) -> None:
        """Until the network cannot be restored. Raises NetworkFailed, StateLost, ClusterLost."""
        while True:
            await asyncio.sleep(self._settings.interval_s)
            self._network.check_place()
            found = await self._look()
            if self._given_up is not None:
                raise self._given_up
            wanted = [(remedy(vital, self._settings), pulse, vital) for pulse, vital in found]
            servers = [vital for what, _, vital in wanted if what is Remedy.RENEW]
            if servers:  # which brings new processes for all others
                await self._renew(str(servers[0]))
                continue
            for what, pulse, vital in wanted:
                if what is Remedy.KILL:
                    log.warning("%s: its process is killed, to be started again", vital)
                    pulse.kill()

    async def health(self) -> NetworkHealth:
        """Of now: every component is asked."""
        if not self._renewing:
            await self._look()
        return health_of(tuple(self._vitals.values()), self._renewing)

    async def _look(self) -> list[tuple[Pulse, Vital]]:
        """One round."""
        async with self._round:
            pulses = self._network.pulses()
            now_s = self._clock()
            # What could not be looked at meanwhile, as this process did not run, is no silence.
            since_s = min(
                now_s - self._looked_at_s, self._settings.interval_s + self._settings.answer_s
            )
            self._looked_at_s = now_s
            found = await asyncio.gather(*(p.feel(self._settings.answer_s) for p in pulses))
            vitals = [
                Vital(pulse.name, pulse.kind, condition, self._bad_for_s(pulse.name, since_s))
                for pulse, condition in zip(pulses, found, strict=True)
            ]
            before, self._vitals = self._vitals, {vital.name: vital for vital in vitals}
            for pulse, vital in zip(pulses, vitals, strict=True):
                self._tell(before.get(vital.name), vital)
                self._count_restart(pulse, vital)
            return list(zip(pulses, vitals, strict=True))

    def _bad_for_s(self, name: str, since_s: float) -> float:
        before = self._vitals.get(name)
        return 0.0 if before is None or before.is_well else before.bad_for_s + since_s

    def _tell(self, before: Vital | None, vital: Vital) -> None:
        was_well = before is None or before.is_well
        if vital.is_well and not was_well:
            log.warning("%s answers again", vital.name)
        elif not vital.is_well and (before is None or before.condition is not vital.condition):
            log.warning("%s", vital)

    def _count_restart(self, pulse: Pulse, vital: Vital) -> None:
        """Each new process that answers for a component says that one before it has died."""
        if not vital.is_well or pulse.answered_by is None:
            return
        known = self._processes.get(vital.name)
        self._processes[vital.name] = pulse.answered_by
        if known not in (None, pulse.answered_by):
            self._count(vital.name, f"process {known} died")

    def _count(self, component: str, cause: str) -> None:
        now_s = self._clock()
        self._failures = (*recent(self._failures, now_s), ComponentFailure(component, now_s, cause))
        why = too_many(self._failures, self._settings)
        if why is not None:
            self._given_up = NetworkFailed(why, component, _NEXT_STEP)

    async def _renew(self, cause: str) -> None:
        self._renewing = cause
        self._count(_RUNTIME, cause)
        for _ in range(self._settings.failures_per_minute):
            if self._given_up is not None:
                raise self._given_up
            log.warning("Ray and all actors are started anew, since %s", cause)
            began_s = self._clock()
            try:
                async with asyncio.timeout(self._settings.start_s):
                    await self._network.renew()
            except (GreenrayError, TimeoutError, OSError) as error:
                if isinstance(error, ClusterLost | StateLost):
                    raise
                why = f"could not be started anew: {error or 'it took too long'}"
                log.error("Ray %s", why)
                self._count(_RUNTIME, f"{cause}, and it {why}")
                await asyncio.sleep(_RENEWAL_PAUSE_S)
                self._network.check_place()
            else:
                log.warning("all actors are there again, after %.1f s", self._clock() - began_s)
                self._forget()
                return
        raise NetworkFailed(f"{cause}, and Ray {why}", _RUNTIME, _NEXT_STEP)

    def _forget(self) -> None:
        """The processes that are there now are no failures of those before."""
        self._renewing = ""
        self._processes.clear()
        self._vitals.clear()
        self._looked_at_s = self._clock()
