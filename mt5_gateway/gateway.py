"""The gateway: one account's terminal on one side, NATS on the other."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mt5_gateway.account_watch import AccountWatch
from mt5_gateway.agreement import Agreement
from mt5_gateway.clock_offset import ClockOffset
from mt5_gateway.drain import SymbolDrain
from mt5_gateway.errors import GatewayError, WorkerCannotStart, WrongAccount
from mt5_gateway.executor import Executor
from mt5_gateway.journal import Account, Journal
from mt5_gateway.journal_room import JournalRoom
from mt5_gateway.live import Live
from mt5_gateway.lockstep import LockStep
from mt5_gateway.obstacles import Obstacles
from mt5_gateway.order_inbox import OrderInbox
from mt5_gateway.recorded import StreamUnreadable
from mt5_gateway.reports import Reports
from mt5_gateway.server_time import ServerClock, ServerTimeError
from mt5_gateway.snapshot import Standing
from mt5_gateway.strangers import Strangers
from mt5_gateway.teller import Stopped, Teller
from mt5_gateway.terminal_client import TerminalClient
from mt5_gateway.tick_publisher import RecordedFeed, TickPublisher, recorded_feed
from mt5_gateway.trade_link import TradeLink
from mt5_gateway.trading import Trading
from realtime.contracts.subjects import token
from realtime.outbox import Outbox
from realtime.service import CannotStart, Service
from realtime.switch import KillSwitch
from realtime.symbols import chosen_symbols, load_symbols

_SECOND_NS = 1_000_000_000
_MS_NS = 1_000_000
_HEALTH_S = 0.5
_ROWS = 20_000  # asked for in one go, all symbols together


class Gateway:
    """One account's gateway.

    Args:
        service: that it runs in.
    """

    def __init__(self, service: Service) -> None:
        settings = service.settings
        self._service = service
        self._settings = settings
        self._client = service.client
        self._account = settings.gateway.account
        self._symbols = settings.trade
        self._folder = settings.paths.var / "gateway" / token(self._account)
        self._lockstep = settings.gateway.lockstep
        try:
            self._server_clock = ServerClock(settings.gateway.server_time)
        except ServerTimeError as error:
            raise CannotStart(str(error)) from None
        self._terminal = TerminalClient(
            terminal=settings.gateway.terminal,
            lock=self._folder / "worker.lock",
            timeout_s=settings.gateway.call_timeout_ns / _SECOND_NS,
        )
        self._link = TradeLink(self._terminal)
        self._offset = ClockOffset(
            settings.account_limits.max_clock_offset_ns, settings.gateway.server_time
        )
        self._kill = KillSwitch(self._client, self._account, self._turn_switch)
        self._tick_outbox = Outbox(self._client, self._warn)
        self._report_outbox = Outbox(self._client, self._warn)
        self._teller = Teller(service)
        self._journal: Journal
        self._room: JournalRoom
        self._trading: Trading
        self._agreement: Agreement
        self._obstacles: Obstacles
        self._publisher: TickPublisher
        self._recorded: RecordedFeed

    @property
    def terminal(self) -> TerminalClient:
        """The terminal."""
        return self._terminal

    async def close(self) -> None:
        """Stop everything; what is unconfirmed is in the journal or in the terminal."""
        await self._terminal.close()
        with contextlib.suppress(AttributeError):
            self._journal.close()
        await self._report_outbox.flush(0.3)
        await self._tick_outbox.close()
        await self._report_outbox.close()

    # --- start --------------------------------------------------------------------------------

    async def run(self) -> None:
        """Run until the service is stopped.

        Raises:
            CannotStart: something is wrong that waiting does not mend.
        """
        try:
            await self._work()
        except Stopped:
            return
        except (WorkerCannotStart, StreamUnreadable, WrongAccount) as error:
            raise CannotStart(str(error)) from error
        except GatewayError as error:
            self._service.alert("critical", type(error).__name__, str(error))
            raise CannotStart(str(error)) from error

    async def _work(self) -> None:
        try:
            await self._start()
            await (self._run_lockstep() if self._lockstep else self._run_live())
        except ExceptionGroup as group:  # of tasks: one line says what the first was
            raise group.exceptions[0] from group

    async def _start(self) -> None:
        self._journal = Journal(self._folder / "journal.jsonl", durable=not self._lockstep)
        self._room = JournalRoom(
            self._journal, self._service.alert, self._halt, self._service.stopping
        )
        await self._tick_outbox.open()
        await self._report_outbox.open()
        info = await self._teller.until_answered(
            "account", lambda: self._terminal.require("account_info")
        )
        self._bind(info)
        await self._select_symbols()
        await self._compare(info["login"])
        self._recorded = await recorded_feed(
            self._client, self._account, self._symbols, self._service.alert
        )
        self._publisher = TickPublisher(
            account=self._account,
            symbols=self._symbols,
            outbox=self._tick_outbox,
            clock=self._service.clock,
            recorded=self._recorded,
            is_replay=self._lockstep,
        )
        await self._open_account(info["login"])

    async def _open_account(self, login: int) -> None:
        """Put together what deals with orders and reports."""
        reports = Reports(
            self._account,
            self._journal,
            self._report_outbox,
            self._service.clock,
            self._symbols,
            self._service.alert,
        )
        await self._room.wait()
        await reports.load(self._client)
        watch = AccountWatch(
            is_replay=self._lockstep,
            terminal=self._terminal,
            link=self._link,
            clock=self._server_clock,
            reports=reports,
            journal=self._journal,
            strangers=Strangers(self._symbols, self._service.alert),
            alert=self._service.alert,
        )
        watch.login = login
        self._obstacles = Obstacles(
            offset=self._offset,
            kill=self._kill,
            watch=watch,
            link=self._link,
            agreement=self._agreement,
            alert=self._service.alert,
        )
        executor = Executor(
            account=self._account,
            symbols=self._symbols,
            terminal=self._terminal,
            watch=watch,
            journal=self._journal,
            clock=self._service.clock,
            lockstep=self._lockstep,
            obstacle=self._obstacles.refusal,
            alert=self._service.alert,
        )
        inbox = OrderInbox(
            account=self._account,
            client=self._client,
            clock=self._service.clock,
            alert=self._service.alert,
            handled=reports.handled,
        )
        for order in self._journal.recorded.intents.values():
            inbox.remember(order)
        for report in reports.known.values():
            inbox.remember_answer(report)
        self._trading = Trading(
            watch=watch,
            executor=executor,
            inbox=inbox,
            reports=reports,
            outbox=self._report_outbox,
            room=self._room,
        )

    def _bind(self, info: dict[str, Any]) -> None:
        """Work for the account of the first start, and for no other."""
        found = Account(login=info["login"], server=info["server"])
        known = self._journal.recorded.account
        if known is None:
            self._journal.write_account(found)
        elif known != found:
            msg = (
                f"the terminal is logged in to account {found.login} at {found.server}, but"
                f" {self._account!r} is account {known.login} at {known.server}: log in to that"
                " one, or give this one another [gateway] account"
            )
            raise WrongAccount(msg)
        self._service.log.info("account %d at %s", found.login, found.server)

    async def _select_symbols(self) -> None:
        for symbol in self._symbols:
            reply = await self._teller.until_answered(
                "symbols", lambda name=symbol: self._terminal.call("symbol_select", name, True)
            )
            if reply.value is not True:
                raise CannotStart(await self._unknown_symbol(symbol))

    async def _unknown_symbol(self, symbol: str) -> str:
        reply = await self._terminal.call("symbols_get", f"*{symbol[:6]}*")
        near = ", ".join(each["name"] for each in (reply.value or ())[:5])
        hint = f"it calls similar ones {near}" if near else "look in its Market Watch"
        return f"the terminal has no symbol {symbol!r}: {hint}; set trade = [...] accordingly"

    async def _compare(self, login: int) -> None:
        """Compare the broker's account and symbols with ours: the one start for all terminals."""
        own = self._settings.paths.specifications
        catalogue = load_symbols(Path(own) if own else None)
        self._agreement = Agreement(
            terminal=self._terminal,
            link=self._link,
            login=login,
            account=self._settings.account,
            symbols=chosen_symbols(self._symbols, catalogue),
            alert=self._service.alert,
        )
        await self._teller.until_answered("conditions", self._agreement.compare)
        self._require_agreement()

    def _require_agreement(self) -> None:
        if self._agreement.differences:
            raise CannotStart(self._agreement.complaint())

    def _drains(self) -> list[SymbolDrain]:
        rows = max(_ROWS // len(self._symbols), 200)
        return [
            SymbolDrain(symbol, self._server_clock, 1000, rows=rows) for symbol in self._symbols
        ]

    # --- a replay -----------------------------------------------------------------------------

    async def _run_lockstep(self) -> None:
        trading = self._trading
        replay = LockStep(
            account=self._account,
            symbols=self._symbols,
            client=self._client,
            terminal=self._terminal,
            drains=self._drains(),
            publisher=self._publisher,
            recorded=self._recorded,
            trading=trading,
            clock=self._service.clock,
        )
        answered = self._teller.until_answered
        await answered("replay", replay.start)
        begin_s = self._server_clock.to_server_ms(replay.standing().time_ns // _MS_NS) // 1000
        await answered("account", lambda: trading.watch.load(replay.standing(), begin_s))
        await trading.inbox.open()
        await self._finish_begun(replay.standing)
        await answered("account", replay.report_news)
        await replay.open()
        async with asyncio.TaskGroup() as tasks:
            telling = tasks.create_task(self._tell_replay(replay))
            await self._teller.again_and_again("replay", lambda: self._step(replay))
            telling.cancel()

    async def _step(self, replay: LockStep) -> None:
        if not self._agreement.is_current:  # the terminal was started again, perhaps otherwise
            await self._agreement.compare()
            self._require_agreement()
        await replay.step()

    async def _tell_replay(self, replay: LockStep) -> None:
        while True:
            self._tell(
                "running",
                "the replay is over" if replay.is_over else "",
                feed_seq=replay.feed_seq,
                reached=replay.reached_seq,
                permitted=replay.through,
            )
            await asyncio.sleep(_HEALTH_S)

    # --- a live terminal ----------------------------------------------------------------------

    async def _run_live(self) -> None:
        live = Live(
            service=self._service,
            teller=self._teller,
            terminal=self._terminal,
            server_clock=self._server_clock,
            publisher=self._publisher,
            recorded=self._recorded,
            trading=self._trading,
            agreement=self._agreement,
            obstacles=self._obstacles,
            kill=self._kill,
            offset=self._offset,
            tell=self._tell,
        )
        await live.run(self._drains(), self._finish_begun)

    # --- both ---------------------------------------------------------------------------------

    async def _finish_begun(self, standing: Callable[[], Standing]) -> None:
        """Find out what became of an order that was being sent when we were killed."""
        trading = self._trading
        for number, order in sorted(self._journal.recorded.intents.items()):
            if number > trading.inbox.handled:
                await self._room.wait()
                await trading.executor.execute(order, 0, standing)
                trading.inbox.handled = number - 1
                trading.inbox.done()

    def _turn_switch(self, on: bool) -> None:  # noqa: FBT001 (a callback)
        self._service.log.warning("kill switch %s", "on" if on else "off")

    def _warn(self, code: str, text: str) -> None:
        self._service.alert("critical", code, text)

    def _halt(self, why: str) -> None:
        self._service.health("halted", why)

    def _tell(self, state: str, text: str, **numbers: float) -> None:
        if self._room.trouble:
            state, text = "halted", self._room.trouble
        self._teller.health(
            state,
            text,
            **numbers,
            **self._publisher.counts,
            orders=self._trading.inbox.handled,
            reports=self._trading.reports.last_seq,
            unconfirmed=len(self._tick_outbox) + len(self._report_outbox),
            clock_offset_ms=self._offset.offset_ns / _MS_NS,
            worker_starts=self._terminal.worker_starts,
        )


async def serve(service: Service) -> None:
    """Run the gateway until the service is stopped.

    Raises:
        CannotStart: something is wrong that waiting does not mend.
    """
    gateway = Gateway(service)
    try:
        await gateway.run()
    finally:
        await gateway.close()
