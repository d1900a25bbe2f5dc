"""Sampling weights: how much of a label's time is its own, where labels overlap.

Lopez de Prado (2018), chapter 4: twenty labels that share an hour tell about that hour once, not
twenty times.
"""

import numpy as np
from numpy.typing import NDArray


def uniqueness(first: NDArray[np.int64], last: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the average uniqueness of each label.

    The mean, over the cells that a label spans, of one over the number of labels alive there.

    Args:
        first: (n,) first cell of each label, not negative.
        last: (n,) its last cell, inclusive, not below `first`.

    Examples:
        >>> uniqueness(np.array([0, 2, 4]), np.array([2, 3, 5])).round(4).tolist()
        [0.8333, 0.75, 1.0]
    """
    if len(first) == 0:
        return np.zeros(0)
    cells = int(last.max()) + 2
    alive = np.zeros(cells)
    np.add.at(alive, first, 1.0)
    np.add.at(alive, last + 1, -1.0)
    alive = np.cumsum(alive)
    share = np.divide(1.0, alive, out=np.zeros(cells), where=alive > 0.5)
    before = np.concatenate(([0.0], np.cumsum(share)))
    return (before[last + 1] - before[first]) / (last + 1 - first)


def label_uniqueness(
    event_ns: NDArray[np.int64], label_end_ns: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the uniqueness of labels, a cell being the time from one event to the next.

    Its sum is about how many independent labels they are worth. A label that ends when the next
    one begins shares nothing with it.

    Args:
        event_ns: (n,) when each label begins, in order.
        label_end_ns: (n,) when its outcome was known.
    """
    first = np.arange(len(event_ns))
    last = np.maximum(np.searchsorted(event_ns, label_end_ns, side="left") - 1, first)
    return uniqueness(first, last)


def label_weights(
    event_ns: NDArray[np.int64], label_end_ns: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return weights of labels by uniqueness, 1 on average; arguments of `label_uniqueness`."""
    weights = label_uniqueness(event_ns, label_end_ns)
    return weights / weights.mean() if len(weights) else weights
