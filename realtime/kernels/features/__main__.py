"""``python -m realtime.kernels.features``: print docs/features.md."""

import sys

from realtime.kernels.features.page import features_page

if __name__ == "__main__":
    sys.stdout.write(features_page())
