"""What a symbol's name tells: which currencies, and whether it trades at weekends."""

import re
from typing import Literal

from realtime.history.errors import SymbolUnknown

#: ``"fx"`` trades Sunday 17:00 to Friday 17:00 New York, ``"always"`` every day; ``""`` unknown.
Market = Literal["fx", "always", ""]

_CURRENCIES = frozenset(
    (
        *("USD", "EUR", "GBP", "JPY", "CHF", "AUD", "NZD", "CAD", "SEK", "NOK", "DKK", "SGD"),
        *("HKD", "PLN", "CZK", "HUF", "TRY", "ZAR", "MXN", "CNH", "CNY", "RUB", "THB", "ILS"),
        *("INR", "KRW", "BRL", "RON", "XAU", "XAG", "XPT", "XPD"),
    )
)
_COINS = (
    *("BTC", "ETH", "XRP", "LTC", "BCH", "ADA", "SOL", "DOGE", "DOT", "BNB", "XLM", "EOS"),
    *("TRX", "AVAX", "LINK", "UNI", "XMR", "DASH", "ETC", "ZEC", "MATIC", "SHIB", "ATOM"),
)
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._#+&-]{0,63}")
_IN_FILE_NAME = re.compile(r"[A-Za-z]{6}(?![A-Za-z])")


def currencies_of(symbol: str) -> tuple[str, str] | None:
    """Split a currency or metal pair, whatever the broker appends (``"EURUSD.m"``)."""
    letters = re.sub(r"[^A-Z]", "", symbol.upper()[:7])[:6]
    base, quote = letters[:3], letters[3:6]
    if base in _CURRENCIES and quote in _CURRENCIES and base != quote:
        return base, quote
    return None


def market_of(symbol: str) -> Market:
    """Tell when a symbol trades from its name; ``""`` if the name does not tell."""
    if currencies_of(symbol) is not None:
        return "fx"
    return "always" if symbol.upper().startswith(_COINS) else ""


def are_different(one: str, two: str) -> bool:
    """Tell whether two names are surely of different pairs, whatever brokers append to them.

    False where either is no pair of known currencies or coins: ``"GOLD"`` may be XAUUSD.
    """
    if not (market_of(one) and market_of(two)):
        return False
    first, second = (re.sub(r"[^A-Z]", "", name.upper()) for name in (one, two))
    return first[:6] != second[:6]


def checked_symbol(symbol: str, file: str) -> str:
    """Return the symbol if it can name a folder.

    Raises:
        SymbolUnknown: empty, or with characters such as ``/`` or blanks.
    """
    if not _SAFE.fullmatch(symbol):
        remedy = "Use letters, digits and . _ # + & -, for example EURUSD."
        msg = f"unusable symbol {symbol!r}"
        raise SymbolUnknown(msg, file=file, remedy=remedy)
    return symbol


def symbol_in_name(name: str) -> str | None:
    """Find a pair of currencies, metals or coins in a file name such as ``EURUSD_M1.csv``."""
    for found in _IN_FILE_NAME.findall(name):
        if market_of(found):
            return str(found).upper()
    return None
