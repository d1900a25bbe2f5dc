"""``python -m deploy.local up|down|status|run|job``: see `deploy.local.cli`."""

import signal
import sys

if __name__ == "__main__":
    # Importing takes a second: Ctrl-C meanwhile ends us at once, without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from deploy.local.cli import main

    sys.exit(main())
