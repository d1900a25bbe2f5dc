"""``python -m realtime.kernels.features``: print docs/features.md."""

from realtime.kernels.features.page import features_page

if __name__ == "__main__":
    print(features_page(), end="")
