"""What bounds on the margins of n samples say together: how many are certified, broken, open."""

import numpy as np

__all__ = ["Certified"]


class Certified:
    """Lower bounds on worst margins beside the least margins met.

    Attributes
    ----------
    margins : ndarray, shape (n,)
        The best lower bound of each sample; above 0 certifies it.
    margins_of : dict of str to ndarray, shape (n,)
        Lower bounds by method.
    upper : ndarray, shape (n,)
        The least margin met; at most 0 breaks the sample.
    """

    margins: np.ndarray
    margins_of: dict[str, np.ndarray]
    upper: np.ndarray

    def accuracy(self, name: str | None = None) -> float:
        """Share of samples certified right by method ``name``, or by the best of all."""
        margins = self.margins if name is None else self.margins_of[name]
        return float(np.mean(margins > 0.0))

    def __repr__(self) -> str:
        certified, broken = int(np.sum(self.margins > 0.0)), int(np.sum(self.upper <= 0.0))
        n = len(self.margins)
        return (f"{type(self).__name__}(n={n}: {certified} certified, {broken} broken, "
                f"{n - certified - broken} open, by {', '.join(self.margins_of)})")
