"""``python -m deploy.local.demo``: see `deploy.local.demo.command`."""

import sys

from deploy.local.interrupted import end_on_interrupt

if __name__ == "__main__":
    end_on_interrupt()  # importing takes a second
    from deploy.local.demo.command import main

    sys.exit(main())
