"""All market features: liquidity and order flow, volatility, and the memory of prices."""

from realtime.kernels.features import liquidity, persistence, volatility
from realtime.kernels.features.feature import FeatureKernel

KERNELS: tuple[FeatureKernel, ...] = (
    *liquidity.KERNELS,
    *volatility.KERNELS,
    *persistence.KERNELS,
)
