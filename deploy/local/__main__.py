"""``python -m deploy.local up|down|status|run|job``: see `deploy.local.cli`."""

import sys

from deploy.local.interrupted import end_on_interrupt

if __name__ == "__main__":
    end_on_interrupt()  # importing takes a second
    from deploy.local.cli import main

    sys.exit(main())
