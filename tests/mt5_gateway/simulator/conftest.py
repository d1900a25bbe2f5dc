"""A simulated terminal in this process behind a real socket, and the client connected to it."""

import dataclasses
import importlib
from typing import Any

import numpy as np
import pytest

from mt5_gateway.server_time import ServerClock
from mt5_gateway.simulator.framing import listening
from mt5_gateway.simulator.journal import Journal
from mt5_gateway.simulator.loading import load_desk
from mt5_gateway.simulator.market import Market
from mt5_gateway.simulator.server import Server
from mt5_gateway.simulator.simulated import Identity, SimulatedTerminal
from realtime.kernels.layout import TICK
from realtime.settings import Settings, with_table
from realtime.symbols import load_symbols

# Any: the package returns None where something is wrong, and tests go on as if it were not.
mt5: Any = importlib.import_module("mt5_gateway.simulator.metatrader5")
control: Any = importlib.import_module("mt5_gateway.simulator.control")

MS_NS = 1_000_000
SECOND_NS = 1000 * MS_NS
#: Wednesday 7 May 2014, 10:00 UTC; on the server, three hours later.
START_NS = 1_399_456_800 * SECOND_NS
SERVER_OFFSET_S = 3 * 3600


def a_walk(count, *, seed=1, price=1.38, digits=5, step_ms=400, start_ns=START_NS, spread=10):
    """A random walk on the grid: whole milliseconds, some of them shared."""
    random = np.random.default_rng(seed)
    ticks = np.zeros(count, TICK)
    gaps_ms = random.integers(0, 2 * step_ms, count)
    gaps_ms[random.random(count) < 0.1] = 0
    gaps_ms[:1] = 0
    ticks["time_ns"] = start_ns + np.cumsum(gaps_ms) * MS_NS
    scale = 10**digits
    points = np.rint(price * scale) + np.cumsum(random.integers(-3, 4, count))
    ticks["bid"] = points / scale
    ticks["ask"] = (points + random.integers(1, spread + 1, count)) / scale
    ticks["last"] = np.nan
    return ticks


def some_settings(**table):
    """Settings with costs that make fills interesting."""
    return with_table(Settings(), {"trade": ["EURUSD"], **table}, "test")


def a_market(streams, settings):
    """A market of symbols by name."""
    catalogue = load_symbols()
    clock = ServerClock(settings.gateway.server_time)
    return Market([catalogue[name] for name in streams], list(streams.values()), clock)


def a_terminal(streams, settings=None, *, journal=None, speed=None, **identity):
    """A simulated terminal without a socket."""
    settings = some_settings() if settings is None else settings
    market = a_market(streams, settings)
    who = Identity(account=settings.account, **identity)
    desk = load_desk(settings, market)
    return SimulatedTerminal(market, desk, identity=who, journal=journal, speed=speed)


@dataclasses.dataclass(frozen=True)
class Served:
    terminal: SimulatedTerminal
    server: Server
    path: object


@pytest.fixture
def served(tmp_path):
    """Serve terminals and connect this process's client: returns the terminal."""
    servers, journals = [], []

    def serve(streams=None, settings=None, *, connect=True, folder=None, **options):
        streams = {"EURUSD": a_walk(500)} if streams is None else streams
        path = tmp_path / "t"
        if folder is not None:
            options["journal"] = Journal(folder, "test")
            journals.append(options["journal"])
        terminal = a_terminal(streams, settings, path=str(path), **options)
        server = Server(terminal, listening(path))
        server.start()
        servers.append(server)
        if connect:
            assert mt5.initialize(str(path)), mt5.last_error()
        return Served(terminal=terminal, server=server, path=path)

    yield serve
    mt5.shutdown()
    for server in servers:
        server.close()
    for journal in journals:
        journal.close()


def stand_at(symbol, ordinal):
    """Show the whole market and play the broker through a tick."""
    control.open_market(10**9)
    return control.commit(symbol, ordinal)


@pytest.fixture
def trading(served):
    """A terminal with EURUSD, selected, whose broker stands at its 100th tick."""
    running = served()
    assert mt5.symbol_select("EURUSD", True)
    stand_at("EURUSD", 100)
    return running


def a_request(**changes):
    """A market buy of EURUSD as the package takes it."""
    request = {
        "action": mt5.TRADE_ACTION_DEAL,
        "symbol": "EURUSD",
        "volume": 0.1,
        "type": mt5.ORDER_TYPE_BUY,
        "type_filling": mt5.ORDER_FILLING_IOC,
        "comment": "a-1",
        "magic": 7,
    }
    return {name: value for name, value in (request | changes).items() if value is not None}
