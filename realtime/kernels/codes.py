"""Integer codes that cross the kernel boundary: refusals and reasons are codes, never exceptions.

Plain integers, because a compiled kernel sees them as constants. `DECISION_NAMES` and `RISK_NAMES`
are for people and reports. Order, filling and deal numbers are MetaTrader 5's own.
"""

# Order types (MetaTrader 5 ORDER_TYPE_*)
BUY = 0
SELL = 1
BUY_LIMIT = 2
SELL_LIMIT = 3
BUY_STOP = 4
SELL_STOP = 5

# Filling policies (ORDER_FILLING_*)
FILL_OR_KILL = 0
IMMEDIATE_OR_CANCEL = 1
RETURN = 2

# Deal entries (DEAL_ENTRY_*)
ENTRY_IN = 0
ENTRY_OUT = 1
ENTRY_INOUT = 2

# Who fills an account's orders.
MIRRORED_NO = 0  # the desk itself
MIRRORED_WAITS = 1  # a broker outside, which answers before anything else happens: a replay
MIRRORED_LIVE = 2  # a broker outside, where anything may happen before an order is there

# Deal reasons (DEAL_REASON_*)
REASON_EXPERT = 3
REASON_STOP_LOSS = 4
REASON_TAKE_PROFIT = 5
REASON_STOP_OUT = 6
REASON_ROLLOVER = 7

# Order states (ORDER_STATE_*)
STATE_STARTED = 0  # sent, not yet at the broker
STATE_PLACED = 1
STATE_CANCELED = 2
STATE_PARTIAL = 3
STATE_FILLED = 4
STATE_REJECTED = 5
STATE_EXPIRED = 6

# Trade return codes the fill kernel can give (TRADE_RETCODE_*)
REJECT = 10006  # no liquidity for the filling policy asked
DONE = 10009
DONE_PARTIAL = 10010
INVALID = 10013
INVALID_VOLUME = 10014
INVALID_PRICE = 10015
INVALID_STOPS = 10016
MARKET_CLOSED = 10018
NO_MONEY = 10019
PRICE_OFF = 10021
INVALID_EXPIRATION = 10022
LIMIT_ORDERS = 10033
LIMIT_VOLUME = 10034
POSITION_CLOSED = 10036
INVALID_CLOSE_VOLUME = 10038
LIMIT_POSITIONS = 10040

# Account position modes (ACCOUNT_MARGIN_MODE_*)
NETTING = 0
HEDGING = 2

# Margin and profit calculation modes (SYMBOL_CALC_MODE_*)
CALC_FOREX = 0
CALC_FUTURES = 1
CALC_CFD = 2
CALC_CFD_INDEX = 3
CALC_CFD_LEVERAGE = 4
CALC_FOREX_NO_LEVERAGE = 5
CALC_EXCHANGE_STOCKS = 32
CALC_EXCHANGE_FUTURES = 33

# Swap modes (SYMBOL_SWAP_MODE_*)
SWAP_DISABLED = 0
SWAP_POINTS = 1
SWAP_CURRENCY_SYMBOL = 2
SWAP_CURRENCY_MARGIN = 3
SWAP_CURRENCY_DEPOSIT = 4
SWAP_INTEREST_CURRENT = 5
SWAP_INTEREST_OPEN = 6

# Commission modes (MetaTrader's SymbolInfo has none; brokers charge one of these)
COMMISSION_NONE = 0
COMMISSION_PER_LOT = 1  # account currency a lot, each deal
COMMISSION_OF_NOTIONAL = 2  # fraction of notional, each deal

# Sizing modes of the decision kernel
SIZE_FIXED = 0
SIZE_VOLATILITY_TARGET = 1
SIZE_KELLY = 2

# Why the decision kernel chose its target
DECISION_HOLD = 0
DECISION_ENTER_LONG = 1
DECISION_ENTER_SHORT = 2
DECISION_EXIT_SIGNAL = 3
DECISION_REVERSE = 4
DECISION_BELOW_THRESHOLD = 5
DECISION_EDGE_BELOW_COST = 6
DECISION_MINIMUM_HOLD = 7
DECISION_COOL_DOWN = 8
DECISION_FLAT_BEFORE_WEEKEND = 9
DECISION_FLAT_BEFORE_ROLLOVER = 10
DECISION_NOT_READY = 11
DECISION_SIZE_BELOW_MINIMUM = 12
DECISION_RESIZE = 13

DECISION_NAMES = {
    value: name.removeprefix("DECISION_").lower()
    for name, value in dict(globals()).items()
    if name.startswith("DECISION_") and isinstance(value, int)
}

# Why the risk kernel allowed less than asked (or nothing)
RISK_OK = 0
RISK_KILL_SWITCH = 1
RISK_DAILY_LOSS = 2
RISK_DRAWDOWN = 3
RISK_SESSION_CLOSED = 4
RISK_TICK_STALE = 5
RISK_FEATURE_STALE = 6
RISK_MODEL_STALE = 7
RISK_CLOCK_OFFSET = 8
RISK_SPREAD = 9
RISK_PRICE_COLLAR = 10
RISK_ORDER_RATE = 11
RISK_ORDER_SIZE = 12
RISK_POSITION = 13
RISK_GROSS_EXPOSURE = 14
RISK_NET_EXPOSURE = 15
RISK_MARGIN_USE = 16
RISK_BAD_INPUT = 17
RISK_VOLUME_STEP = 18
RISK_ORDER_IN_FLIGHT = 19
RISK_BROKER_REFUSED = 20  # a moment ago: it is not asked again on every tick

RISK_NAMES = {
    value: name.removeprefix("RISK_").lower()
    for name, value in dict(globals()).items()
    if name.startswith("RISK_") and isinstance(value, int)
}

# Latches of the risk state (bits): once set, only an operator clears them
LATCH_KILL = 1
LATCH_DAILY_LOSS = 2  # cleared by the next trading day
LATCH_DRAWDOWN = 4

# Names of deal reasons and trade return codes, for people and reports
REASON_NAMES = {
    value: name.removeprefix("REASON_").lower()
    for name, value in dict(globals()).items()
    if name.startswith("REASON_") and isinstance(value, int)
}

RETCODE_NAMES = {
    value: name.lower()
    for name, value in dict(globals()).items()
    if isinstance(value, int) and 10000 <= value < 11000
}
