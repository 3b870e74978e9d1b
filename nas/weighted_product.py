"""Quality and every cost as one number: a weighted product.

Tan et al., "MnasNet: Platform-Aware Neural Architecture Search for Mobile" (CVPR 2019), equation 2
with the exponents of its soft constraint, which trade a doubled cost for about 5 % of quality.
There it is accuracy times one latency; here it is the quality times every indicator.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.errors import ExperimentError

__all__ = ["WeightedProduct"]

EXPONENT = 0.07


@dataclass(frozen=True, slots=True, eq=False)
class WeightedProduct:
    """``quality * product((cost / target) ** w)``, with w = -0.07 for a quality that is maximised.

    For one that is minimised w = +0.07, and for a cost that is maximised the sign is the other one:
    whatever is better makes the product better. Costs that are 0 or below somewhere in the space,
    so that they have no ratio, are left out.

    Attributes:
        targets: Of each cost; NaN of those that are left out: ``[costs]``.
        maximized: Of which costs more is better: ``[costs]``.
        maximize: Whether more of the quality is better.
    """

    targets: NDArray[np.float64]
    maximized: NDArray[np.bool_]
    maximize: bool

    @classmethod
    def of_population(
        cls, values: NDArray[np.float64], maximized: NDArray[np.bool_], maximize: bool
    ) -> WeightedProduct:
        """With the medians of a space's members as targets: values ``[members, costs]``."""
        positive = (values > 0).all(axis=0)
        return cls(np.where(positive, np.median(values, axis=0), np.nan), maximized, maximize)

    def loss(
        self, quality: NDArray[np.float64], values: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The product ``[n]``, negated where it is to be maximised.

        Args:
            quality: As measured: ``[n]``.
            values: Costs as measured: ``[n, costs]``.

        Raises:
            ExperimentError: A quality is below 0, so that a product would turn it around.

        >>> product = WeightedProduct(np.array([100.0]), np.array([False]), False)
        >>> product.loss(np.array([0.2]), np.array([[200.0]])).round(4).tolist()
        [0.2099]
        """
        if (quality < 0).any():
            raise ExperimentError(
                f"`weighted-product` needs a quality of at least 0; got {quality.min():g}. Leave "
                "that arm out."
            )
        used = np.isfinite(self.targets)
        ratio = np.maximum(values[:, used], np.finfo(float).tiny) / self.targets[used]
        better_if_less = np.where(self.maximized[used], -1.0, 1.0)
        exponent = better_if_less * (-EXPONENT if self.maximize else EXPONENT)
        product: NDArray[np.float64] = quality * np.prod(ratio**exponent, axis=1)
        return -product if self.maximize else product
