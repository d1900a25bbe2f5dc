"""``python -m mt5_gateway``: the gateway between MetaTrader 5 and NATS."""

import sys

from mt5_gateway.gateway import serve
from realtime.service import run

if __name__ == "__main__":
    sys.exit(run("gateway", sys.argv[1:], serve))
