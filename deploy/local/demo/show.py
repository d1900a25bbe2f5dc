"""The demonstration, phase by phase."""

import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from deploy.local.demo.learning import learn
from deploy.local.demo.phases import Phases
from deploy.local.demo.place import Place
from deploy.local.demo.replay import ReplayWatch, await_end, await_record
from deploy.local.demo.report import caution_of, print_table, report_of, write_reports
from deploy.local.demo.source import Source
from deploy.local.demo.verdict import Outcome, judge, replay_ticks
from deploy.local.health import HealthBoard
from deploy.local.postgres_roles import empty_database
from deploy.local.service import chosen
from deploy.local.services import Stack, all_services
from deploy.local.supervisor import Supervisor
from realtime.clock import WallClock

SERVERS = ("nats", "postgres", "streams")
SCHEMA = ("migrations",)  # once the database is empty
LISTENING = ("recorder", "loop")
TRADING = ("terminal", "gateway")
PAGES = ("mlflow", "dagster", "dagster-daemon", "feast", "push")
_STALLED_S = 60.0
_RECORDED_S = 60.0


class Stopped(Exception):
    """Somebody stopped it."""


class Show:
    """Runs the demonstration.

    Args:
        place: its folder, settings and ports.
        console: where it is shown.
        stays: start the pages and stay until stopped.

    Attributes:
        stopping: set to stop it.
    """

    def __init__(self, place: Place, console: Console, *, stays: bool) -> None:
        self._place = place
        self._settings = place.settings
        self._console = console
        self._stays = stays
        self._phases = Phases(console)
        self._health = HealthBoard(place.settings)
        self._running: list[Supervisor] = []
        self._var = place.settings.paths.var
        self.stopping = threading.Event()

    def run(self, source: Source) -> int:
        """Run all phases; 0 if live and backtest agree, 1 if they do not.

        Raises:
            Stopped: `stopping` was set.
            StackError: something does not start, or does not go on.
        """
        self._say(f"aitrading demo: {source.path.name}, logs in {self._var / 'logs'}")
        if caution := caution_of(source.spreads):
            self._say(caution, "yellow")
        self._start_servers()
        self._begin("listening", LISTENING)  # while the model is made
        summary = {**self._learn(source), "spread": asdict(source.spreads)}
        if self._stays:
            self._start_pages()
        outcome = self._trade(Path(str(summary["bundle_directory"])))
        self._report(outcome, summary, source)
        if self._stays:
            self._console.print("up until Ctrl-C")
            while not self.stopping.wait(0.5):
                self._look()
        return 0 if outcome.parity.equal else 1

    def close(self) -> None:
        """End everything that was started."""
        for supervisor in reversed(self._running):
            supervisor.stop()
        self._health.close()

    # --- phases -------------------------------------------------------------------------------

    def _start_servers(self) -> None:
        with self._phases.phase("Servers") as phase:
            self._start("servers", SERVERS)
            phase.say("emptying the database")
            empty_database(self._settings)
            self._start("schema", SCHEMA)
            phase.say(f"{self._settings.nats.url}, {self._settings.database.url}")

    def _learn(self, source: Source) -> dict[str, Any]:
        with self._phases.phase("Training") as phase:
            return learn(self._stack(), source, look=self._look, say=phase.say)

    def _trade(self, bundle: Path) -> Outcome:
        ticks = replay_ticks(self._settings)
        watch = ReplayWatch(self._settings)
        try:
            with self._phases.phase("Start of trading") as phase:
                watch.start()
                self._start("trading", TRADING)
                phase.say("terminal, gateway, loop and recorder answer")
            with self._phases.phase("Replay") as phase:
                start = time.perf_counter()
                await_end(watch, self._look, lambda at: phase.at(at, len(ticks)), _STALLED_S)
                rate = len(ticks) / (time.perf_counter() - start)
                phase.say(f"{len(ticks):,} ticks, {rate:,.0f} a second")
        finally:
            watch.close()
        with self._phases.phase("Record and comparison") as phase:
            await_record(self._settings, self._look, _RECORDED_S)
            outcome = judge(self._settings, bundle, ticks)
            phase.say("live equals backtest" if outcome.parity.equal else "they DIFFER")
        return outcome

    def _start_pages(self) -> None:
        with self._phases.phase("Pages") as phase:
            self._start("pages", PAGES)
            phase.say("MLflow, Dagster and Feast answer")

    def _report(self, outcome: Outcome, summary: dict[str, Any], source: Source) -> dict[str, Any]:
        with self._phases.phase("Report") as phase:
            page = self._var / "report.html"
            urls = {"report": page.as_uri(), **(self._page_urls() if self._stays else {})}
            content = report_of(outcome, summary, self._phases.seconds, urls, self._settings)
            write_reports(self._var, outcome, content, self._settings, source)
            phase.say("report.json, report.html")
        print_table(self._console, content, self._settings.account.currency)
        return content

    def _say(self, line: str, style: str = "") -> None:
        """Print a line as long as it is: one that is cut cannot be copied."""
        self._console.print(line, style=style, highlight=False, soft_wrap=True)

    # --- services -----------------------------------------------------------------------------

    def _stack(self) -> Stack:
        return Stack(
            settings=self._settings,
            config=self._place.config,
            health=self._health,
            market=("--lake", str(self._settings.paths.lake), "--lockstep"),
            ports=self._place.ports,
            is_complete=True,
        )

    def _start(self, group: str, names: tuple[str, ...]) -> None:
        """Start some services, and wait until they and all begun before are ready."""
        self._begin(group, names)
        for supervisor in self._running:
            if not supervisor.start():
                raise Stopped

    def _begin(self, group: str, names: tuple[str, ...]) -> None:
        """Let `_look` start some services and what they need, but not what runs already."""
        begun = {each for supervisor in self._running for each in supervisor.names}
        wanted = chosen(all_services(self._stack()), names)
        self._running.append(
            Supervisor(
                [each for each in wanted if each.name not in begun],
                records=self._var / "run" / f"{len(self._running)}-{group}.json",
                clock=WallClock(),
                say=self._note,
                stopping=self.stopping,
            )
        )

    def _note(self, line: str) -> None:
        """Keep what happens to services; show only trouble."""
        log = self._var / "logs" / "demo.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        if "again" in line:
            self._say(line, "yellow")

    def _page_urls(self) -> dict[str, str]:
        services = chosen(all_services(self._stack()), PAGES)
        return {each.name: each.url for each in services if each.url.startswith("http")}

    def _look(self) -> None:
        """Restart what died; stop if that was asked for."""
        if self.stopping.is_set():
            raise Stopped
        for supervisor in self._running:
            supervisor.look()
