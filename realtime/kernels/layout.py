"""Data layouts: numpy structured dtypes, accessed by key, shared by kernels, files and the wire.

Conventions: times are UTC nanoseconds (``*_ns``); prices and everything without a suffix beside
them are in price units; volumes are lots; money is in the account currency unless the name says
otherwise; a missing price is NaN; an absent index is -1; flags are 0 or 1 in an ``i8``.
"""

import numpy as np

TICK = np.dtype(
    [
        ("time_ns", "i8"),
        ("seq", "i8"),
        ("bid", "f8"),
        ("ask", "f8"),
        ("last", "f8"),
        ("volume", "f8"),
        ("flags", "i8"),
        ("symbol", "i8"),  # row of this symbol in specs, quotes, limits
    ],
    align=True,
)

BAR = np.dtype(
    [
        ("open_ns", "i8"),  # start of the bar's interval
        ("end_ns", "i8"),  # end of the interval (exclusive); a tick as a bar has end_ns == open_ns
        ("open", "f8"),  # OHLC of the bid
        ("high", "f8"),
        ("low", "f8"),
        ("close", "f8"),
        ("spread_mean", "f8"),  # tick-weighted, price units
        ("spread_max", "f8"),
        ("volume", "f8"),  # traded volume where the feed has one, else the tick count
        ("realised_variance", "f8"),  # sum of squared log returns of the mid inside the bar
        ("ticks", "i8"),
        ("imbalance", "i8"),  # ticks with a rising mid minus ticks with a falling mid
    ],
    align=True,
)

QUOTE = np.dtype(
    [
        ("time_ns", "i8"),
        ("bid", "f8"),
        ("ask", "f8"),
        ("volume", "f8"),
        ("seq", "i8"),
        ("bought_lots", "f8"),  # taken from this quote by our own fills (SPEC.liquidity_lots)
        ("sold_lots", "f8"),
    ],
    align=True,
)

# One row a trading day of a symbol's calendar, contiguous: days[i].end_ns == days[i + 1].start_ns.
# A weekend or holiday is a row (or part of one) with open_ns == close_ns.
DAY = np.dtype(
    [
        ("start_ns", "i8"),  # rollover that opens the trading day (17:00 New York for FX)
        ("end_ns", "i8"),  # rollover that ends it
        ("open_ns", "i8"),  # first moment of trading in this row
        ("close_ns", "i8"),  # end of trading (exclusive)
        ("long_close_ns", "i8"),  # next close followed by a closure of 12 hours or more
        ("tokyo_open_ns", "i8"),
        ("tokyo_close_ns", "i8"),
        ("london_open_ns", "i8"),
        ("london_close_ns", "i8"),
        ("new_york_open_ns", "i8"),
        ("new_york_close_ns", "i8"),
        ("day_of_week", "i8"),  # of the trading day, 0 = Monday
        ("swap_days", "i8"),  # days of swap charged at end_ns: 0, 1 or 3
    ],
    align=True,
)

SPEC = np.dtype(
    [
        ("contract_size", "f8"),
        ("tick_size", "f8"),
        ("tick_value", "f8"),  # profit currency a tick and lot; used by futures and index modes
        ("point", "f8"),
        ("volume_min", "f8"),
        ("volume_max", "f8"),
        ("volume_step", "f8"),
        ("volume_limit", "f8"),  # 0 = none; cap of position plus pending in one direction
        ("stops_level_points", "f8"),
        ("calc_mode", "i8"),
        ("margin_initial", "f8"),
        ("margin_maintenance", "f8"),
        ("margin_hedged", "f8"),
        ("margin_hedged_use_leg", "i8"),
        ("margin_rate_long", "f8"),
        ("margin_rate_short", "f8"),
        ("swap_mode", "i8"),
        ("swap_long", "f8"),
        ("swap_short", "f8"),
        ("commission_mode", "i8"),
        ("commission_rate", "f8"),
        ("profit_symbol", "i8"),  # row whose quote converts profit to account currency; -1 = same
        ("profit_inverse", "i8"),  # 1: divide by that quote, 0: multiply
        ("margin_symbol", "i8"),  # the same for the margin currency
        ("margin_inverse", "i8"),
        ("latency_ns", "i8"),  # order decision to arrival at the broker
        ("slippage_points", "f8"),  # paid on every market and stop fill
        ("slippage_spread_fraction", "f8"),  # plus this fraction of the spread of the moment
        ("slippage_points_per_lot", "f8"),  # plus linear impact
        ("liquidity_lots", "f8"),  # available a quote and side; 0 = unlimited
        ("first_day", "i8"),  # rows of this symbol's calendar in DESK days: [first_day, last_day)
        ("last_day", "i8"),
    ],
    align=True,
)

ACCOUNT = np.dtype(
    [
        ("balance", "f8"),
        ("credit", "f8"),
        ("floating", "f8"),  # profit and swap of open positions, account currency
        ("equity", "f8"),  # balance + credit + floating
        ("margin", "f8"),
        ("leverage", "f8"),
        ("stop_out_level", "f8"),  # margin level (equity / margin) below which positions close
        ("money_digits", "i8"),  # booked money is rounded to this many digits; -1 = not rounded
        ("mode", "i8"),  # codes.NETTING or codes.HEDGING
        ("open_positions", "i8"),  # rows of DESK positions in use
        ("open_orders", "i8"),  # rows of DESK orders in use
        ("next_id", "i8"),  # next order, deal or position id
        ("stop_outs", "i8"),
        ("spread_cost", "f8"),  # running totals, account currency, for reports
        ("slippage_cost", "f8"),
        ("commission", "f8"),
        ("swap", "f8"),
        ("realised", "f8"),
        (
            "mirrored",
            "i8",
        ),  # codes.MIRRORED_*: who fills, charges, closes: kernels/mirror.py
    ],
    align=True,
)

POSITION = np.dtype(
    [
        ("id", "i8"),
        ("symbol", "i8"),
        ("side", "i8"),  # +1 long, -1 short
        ("open_ns", "i8"),
        ("volume_lots", "f8"),
        ("open_price", "f8"),  # volume-weighted on netting accounts
        ("stop_loss", "f8"),  # NaN = none
        ("take_profit", "f8"),
        ("swap", "f8"),  # accumulated, account currency, booked on closing
        ("profit", "f8"),  # floating, account currency, without swap
        ("margin_rate", "f8"),  # margin currency to account currency at opening, volume-weighted
        ("magic", "i8"),
    ],
    align=True,
)

ORDER = np.dtype(
    [
        ("id", "i8"),
        ("symbol", "i8"),
        ("type", "i8"),
        ("filling", "i8"),
        ("state", "i8"),
        ("retcode", "i8"),
        ("volume_lots", "f8"),
        ("filled_lots", "f8"),
        ("price", "f8"),  # limit or stop price; for a market order the price of the decision
        ("stop_loss", "f8"),
        ("take_profit", "f8"),
        ("created_ns", "i8"),
        ("arrives_ns", "i8"),  # the broker acts on it from here on
        ("expires_ns", "i8"),  # 0 = good till cancelled
        ("position_id", "i8"),  # hedging: the position to close, -1 = none
        ("magic", "i8"),
        ("decision_code", "i8"),
        ("risk_code", "i8"),
    ],
    align=True,
)

FILL = np.dtype(
    [
        ("id", "i8"),
        ("order_id", "i8"),
        ("position_id", "i8"),
        ("symbol", "i8"),
        ("time_ns", "i8"),
        ("side", "i8"),  # +1 bought, -1 sold
        ("entry", "i8"),
        ("reason", "i8"),
        ("volume_lots", "f8"),
        ("price", "f8"),
        ("profit", "f8"),  # realised by this deal, account currency
        ("swap", "f8"),
        ("commission", "f8"),  # negative = cost
        ("spread_cost", "f8"),  # half the spread of the moment paid by this deal, positive = cost
        ("slippage_cost", "f8"),
        ("balance", "f8"),  # after the deal
    ],
    align=True,
)

DECISION_PARAMS = np.dtype(
    [
        ("enter_probability", "f8"),  # enter long at p >= this, short at p <= 1 - this
        ("exit_probability", "f8"),  # leave a long below this, a short above 1 - this
        ("gain_fraction", "f8"),  # price move won if right, e.g. the take-profit barrier
        ("loss_fraction", "f8"),  # price move lost if wrong
        ("edge_cost_ratio", "f8"),  # expected edge must exceed this many round-trip costs; 0 = off
        ("allow_long", "i8"),
        ("allow_short", "i8"),
        ("sizing", "i8"),
        ("fixed_lots", "f8"),
        ("target_volatility", "f8"),  # annual, as a fraction of equity
        ("kelly_fraction", "f8"),
        ("max_leverage", "f8"),  # notional over equity that sizing may ask for
        ("resize_fraction", "f8"),  # ignore smaller changes of size; 1 = never resize
        ("minimum_hold_ns", "i8"),
        ("cool_down_ns", "i8"),
        ("flat_before_weekend_ns", "i8"),  # 0 = may hold over the weekend
        ("flat_before_rollover_ns", "i8"),  # 0 = may hold over rollover
        ("stop_loss_fraction", "f8"),  # of the entry price; 0 = none
        ("take_profit_fraction", "f8"),
    ],
    align=True,
)

DECISION_STATE = np.dtype(
    [
        ("direction", "i8"),  # -1, 0, 1: what is wanted, before risk
        ("target_lots", "f8"),  # signed
        ("entered_ns", "i8"),
        ("exited_ns", "i8"),
        ("refused_ns", "i8"),  # when the order was made that the broker refused last
        ("refusals", "i8"),  # in a row
    ],
    align=True,
)

# What a model or a strategy kernel says on one row of features.
SIGNAL = np.dtype(
    [
        ("probability", "f8"),  # calibrated probability that the up barrier is hit; NaN = not ready
        ("volatility", "f8"),  # annual, fraction; NaN = unknown
        ("feature_ns", "i8"),  # time of the newest feature used
        ("model_ns", "i8"),  # when the model was trained or promoted
    ],
    align=True,
)

DECISION = np.dtype(
    [
        ("time_ns", "i8"),
        ("symbol", "i8"),
        ("probability", "f8"),
        ("edge", "f8"),  # expected edge, fraction of price
        ("cost", "f8"),  # round trip, fraction of price
        ("target_lots", "f8"),  # before risk, signed
        ("allowed_lots", "f8"),  # after risk, signed
        ("decision_code", "i8"),
        ("risk_code", "i8"),
    ],
    align=True,
)

# One sample of the account, taken where a signal is acted on and at the end of a fold.
EQUITY = np.dtype(
    [
        ("time_ns", "i8"),
        ("symbol", "i8"),  # whose tick or bar it was
        ("mid", "f8"),  # of that symbol
        ("position_lots", "f8"),  # net signed lots of that symbol
        ("balance", "f8"),
        ("equity", "f8"),
        ("margin", "f8"),
    ],
    align=True,
)

# Per symbol. 0 switches a maximum off, except where said.
LIMITS = np.dtype(
    [
        ("max_order_lots", "f8"),
        ("max_position_lots", "f8"),
        ("max_spread_points", "f8"),
        ("collar_fraction", "f8"),  # |order price / last mid - 1| may not exceed this
        ("max_tick_age_ns", "i8"),
        ("max_feature_age_ns", "i8"),
        ("max_model_age_ns", "i8"),
    ],
    align=True,
)

ACCOUNT_LIMITS = np.dtype(
    [
        ("max_gross_leverage", "f8"),  # sum of |notional| over equity
        ("max_net_leverage", "f8"),  # |sum of notional| over equity
        ("max_orders", "i8"),  # in any rate_window_ns
        ("rate_window_ns", "i8"),
        ("max_daily_loss", "f8"),  # fraction of the equity at the start of the trading day
        ("max_drawdown", "f8"),  # fraction of the highest equity
        ("max_margin_use", "f8"),  # margin over equity
        ("max_clock_offset_ns", "i8"),
    ],
    align=True,
)

ORDER_RATE_SLOTS = 64

RISK_STATE = np.dtype(
    [
        ("latches", "i8"),
        ("kill_switch", "i8"),  # set by the operator; wins over everything
        ("day_end_ns", "i8"),  # the trading day that day_start_equity belongs to
        ("day_start_equity", "f8"),
        ("peak_equity", "f8"),
        ("last_equity", "f8"),  # at the tick before: a gap over rollover belongs to the new day
        ("clock_offset_ns", "i8"),  # measured by the caller, broker clock minus ours
        ("order_times", "i8", (ORDER_RATE_SLOTS,)),  # ring of the latest order times
        ("order_count", "i8"),
    ],
    align=True,
)


def desk_dtype(symbols: int, positions: int, orders: int, days: int) -> np.dtype[np.void]:
    """Return the layout of everything one account trades with, with room for so many rows."""
    return np.dtype(
        [
            ("account", ACCOUNT),
            ("account_limits", ACCOUNT_LIMITS),
            ("risk", RISK_STATE),
            ("symbols", "i8"),  # rows in use of the per-symbol tables below
            ("position_capacity", "i8"),  # rows of `positions` that may be used
            ("order_capacity", "i8"),
            ("specs", SPEC, (symbols,)),
            ("limits", LIMITS, (symbols,)),
            ("params", DECISION_PARAMS, (symbols,)),
            ("intents", DECISION_STATE, (symbols,)),
            ("signals", SIGNAL, (symbols,)),  # the latest of each symbol
            ("quotes", QUOTE, (symbols,)),  # the latest of each symbol
            ("day_rows", "i8", (symbols,)),  # row of `days` in force, -1 before the first tick
            ("positions", POSITION, (positions,)),  # used rows first, oldest first
            ("orders", ORDER, (orders,)),  # the same
            ("days", DAY, (days,)),  # calendars, one after the other
        ],
        align=True,
    )


# One size for every account, so that kernels compile once: a kernel takes a desk as one pointer,
# which costs nothing to pass (a tuple of arrays would cost a reference count each, at every call).
DESK_SYMBOLS = 128
DESK_POSITIONS = 256
DESK_ORDERS = 256
DESK_DAYS = 16_384
DESK = desk_dtype(DESK_SYMBOLS, DESK_POSITIONS, DESK_ORDERS, DESK_DAYS)

TAPE_ROWS = 8_192
TAPE = np.dtype(
    [
        ("n_orders", "i8"),
        ("n_fills", "i8"),
        ("n_decisions", "i8"),
        ("n_samples", "i8"),
        ("orders", ORDER, (TAPE_ROWS,)),  # finished ones
        ("fills", FILL, (TAPE_ROWS,)),
        ("decisions", DECISION, (TAPE_ROWS,)),
        ("samples", EQUITY, (TAPE_ROWS,)),
    ],
    align=True,
)
