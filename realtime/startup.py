"""What comes before the first tick: champions, kept state, a trader that stands where it stood."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from realtime.bundle import BundleError
from realtime.champion import load_champion
from realtime.contracts.orders_pb2 import OrderRequest
from realtime.contracts.subjects import Outgoing, token
from realtime.driver import Driver
from realtime.healing import Healer
from realtime.model import Model
from realtime.recorded_ticks import RecordUnavailable, first_recorded_ns
from realtime.service import CannotStart, Service
from realtime.state import Kept, StateCorrupt, StateFile, StateForeign
from realtime.streams import StreamUnavailable
from realtime.trader import Trader, TraderError
from realtime.warm import (
    Span,
    adopt_numbers,
    build_trader,
    calendar_span,
    first_tick,
    load_code,
    restore,
    sent_orders,
    take_over_risk,
)

LOOK_S = 0.1


class Stopped(Exception):
    """The service is to end before it has begun."""


@dataclass(frozen=True, kw_only=True)
class Started:
    """What a loop begins with.

    Attributes:
        trader: with its state.
        first_ns: time of the first tick of the feed: where calendars begin.
        is_restored: whether the state is a kept one.
        messages: of the kept state, to be sent again.
        models: in force, by symbol.
        swaps: champions that came since the state was kept.
        sent_before: orders that a replay sent before, by number: it must send the same again.
    """

    trader: Trader
    first_ns: int
    is_restored: bool
    messages: tuple[Outgoing, ...]
    models: Mapping[str, Model]
    swaps: Mapping[str, Model]
    sent_before: Mapping[int, OrderRequest]


async def pause(service: Service) -> None:
    """Wait a little.

    Raises:
        Stopped: the service is to end.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LOOK_S):
            await service.stopping.wait()
            raise Stopped


class Startup:
    """Puts a trader together.

    Args:
        service: that the loop runs in.
        state_file: of the loop.
        models: champions, by symbol.
    """

    def __init__(
        self, service: Service, state_file: StateFile, models: Mapping[str, Model]
    ) -> None:
        self._service = service
        self._settings = service.settings
        self._account = service.settings.gateway.account
        self._lockstep = service.settings.gateway.lockstep
        self._state_file = state_file
        self._models = dict(models)
        self._risk: Mapping[str, Any] = {}  # of a state that was set aside

    async def run(self, first_ns: int) -> Started:
        """Build the trader, and give it the kept state if that is still its own.

        Args:
            first_ns: time of the first tick of the feed, unless the state knows better.

        Raises:
            CannotStart: settings and models do not go together.
            Stopped: the service is to end.
        """
        kept = self._read_state()
        if kept is not None:
            first_ns = int(kept.values["first_ns"])
            self._risk = kept.values.get("risk", {})
        clock = self._service.clock
        span = calendar_span(
            first_ns,
            clock.now_ns(),
            lockstep=self._lockstep,
            symbols=len(self._settings.trade),
        )
        self._service.health("warming", "loading compiled code")
        try:
            await asyncio.to_thread(load_code, self._settings, self._models, span, first_ns, clock)
            if kept is not None:
                started = await self._restored(kept, span, first_ns)
                if started is not None:
                    return started
            return await self._fresh(span, first_ns)
        except (TraderError, ValueError) as error:
            raise CannotStart(str(error)) from error

    async def _fresh(self, span: Span, first_ns: int) -> Started:
        muted = not self._lockstep  # live, models come in when history is behind us
        trader = build_trader(self._settings, self._models, span, self._service.clock, muted=muted)
        if not self._lockstep:  # a replay reckons them again
            take_over_risk(trader, self._risk)
        return Started(
            trader=trader,
            first_ns=first_ns,
            is_restored=False,
            messages=(),
            models=self._models,
            swaps={},
            sent_before=await self._orders_after(0) if self._lockstep else {},
        )

    async def _restored(self, kept: Kept, span: Span, first_ns: int) -> Started | None:
        """Return a trader with the kept state; None if that had to be put aside."""
        in_force = await self._models_of(kept)
        try:
            self._require_same_features(in_force)
            trader = build_trader(self._settings, in_force, span, self._service.clock, muted=False)
            restore(trader, kept)
        except StateForeign as error:
            self._set_aside("foreign", "state_refused", str(error))
            return None
        later = await self._orders_after(trader.order_number)
        if later and not self._lockstep:
            why = f"the kept state ends before order {max(later)}, which was sent"
            self._set_aside("stale", "state_stale", why)
            return None
        count = len(kept.messages)
        self._service.log.info("state of tick %d, %d messages sent again", trader.feed_seq, count)
        changed = {
            symbol: model for symbol, model in self._models.items() if in_force[symbol] is not model
        }
        return Started(
            trader=trader,
            first_ns=first_ns,
            is_restored=True,
            messages=kept.messages,
            models=in_force,
            swaps=changed,
            sent_before=later,
        )

    def _require_same_features(self, in_force: Mapping[str, Model]) -> None:
        for symbol, model in self._models.items():
            if needs(in_force[symbol]) != needs(model):
                msg = f"the kept state has other feature sets than {model.bundle.id} needs"
                raise StateForeign(msg)

    def _read_state(self) -> Kept | None:
        try:
            return self._state_file.read()
        except StateCorrupt as error:
            self._set_aside("corrupt", "state_corrupt", str(error))
            return None

    def _set_aside(self, word: str, code: str, why: str) -> None:
        names = ", ".join(path.name for path in self._state_file.set_aside(word))
        limits = "go on" if self._risk else "begin anew"
        text = (
            f"{why}: put aside as {names}; warming up from recorded history, loss limits {limits}"
        )
        self._service.alert("critical", code, text)

    async def _models_of(self, kept: Kept) -> dict[str, Model]:
        """Return the models that were in force when the state was kept, if they are still here."""
        in_force = dict(self._models)
        names = cast("list[str | None]", kept.values["bundles"])
        symbols = cast("list[str]", kept.values["symbols"])
        stages = cast("dict[str, str]", kept.values["stages"])
        for symbol, name in zip(symbols, names, strict=True):
            model = self._models.get(symbol)
            if model is None or name is None or model.bundle.id == name:
                continue
            directory = self._state_file.folder / "bundles" / token(name)
            try:
                in_force[symbol] = await asyncio.to_thread(load_champion, directory, stages[symbol])
            except BundleError as error:
                text = f"{error}; {model.bundle.id} takes its place at once"
                self._service.alert("critical", "bundle_lost", text)
        return in_force

    async def _orders_after(self, number: int) -> dict[int, OrderRequest]:
        while True:
            try:
                return await sent_orders(self._service.client, self._account, number)
            except StreamUnavailable as error:
                self._service.health("waiting", str(error))
                await pause(self._service)


async def await_first_tick(service: Service) -> int | None:
    """Return the time of the first tick of the feed; None if there is none yet.

    Raises:
        StreamUnavailable: no answer.
    """
    settings = service.settings
    found = await first_tick(service.client, settings.gateway.account)
    if found is None:
        return None
    feed_seq, first_ns = found
    if feed_seq > 1:  # the stream has forgotten the beginning; the database may know it
        with contextlib.suppress(RecordUnavailable):
            recorded_ns = await asyncio.to_thread(first_recorded_ns, settings)
            return first_ns if recorded_ns is None else min(first_ns, recorded_ns)
    return first_ns


async def warm_from_history(
    service: Service, driver: Driver, healer: Healer, models: Mapping[str, Model]
) -> None:
    """Let features see what was recorded, trade nothing of it, then go on as of now.

    Losses count from now on; the account is that of the broker's last report.

    Raises:
        Stopped: the service is to end.
    """
    driver.is_muted = True
    trader = driver.trader
    risk = np.array(trader.desk["risk"])
    service.health("warming", "features take in recorded history")
    while not driver.halted:
        try:
            oldest = await healer.oldest_reachable()
            if oldest > trader.feed_seq + 1 and trader.feed_seq == 0:
                text = (
                    f"ticks before {oldest} are neither in stream TICKS nor recorded: features"
                    " begin there"
                )
                service.alert("warning", "history_short", text)
                trader.skip(oldest - 1)
            await healer.note_ends()
            await healer.heal()
            last_report = await healer.last_report()
            if last_report > 0:
                await adopt_numbers(service.client, trader, risk, last_report)
                driver.reports.last_seen = last_report
                await healer.heal()
                break
            service.health("waiting", "no report of the account from the gateway yet")
        except StreamUnavailable as error:
            service.health("waiting", str(error))
        await pause(service)
    trader.drain()
    driver.is_muted = False
    if not driver.halted:
        for symbol, model in models.items():
            trader.swap(symbol, model)


def needs(model: Model) -> tuple[str, str]:
    """Return what a loop must run to serve a model: features and clock."""
    return model.bundle.feature_set, model.bundle.clock
