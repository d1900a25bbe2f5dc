"""``python -m deploy.local.demo``: see `deploy.local.demo.command`."""

import signal
import sys

if __name__ == "__main__":
    # Importing takes a second: Ctrl-C meanwhile ends us at once, without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from deploy.local.demo.command import main

    sys.exit(main())
