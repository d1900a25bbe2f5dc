"""All features of more than one symbol: pairs and currency baskets."""

from realtime.kernels.features import baskets, pairs
from realtime.kernels.features.feature import FeatureKernel

KERNELS: tuple[FeatureKernel, ...] = (*pairs.KERNELS, *baskets.KERNELS)
