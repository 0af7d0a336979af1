"""The claims of Allen-Zhu & Li, "Feature Purification" (arXiv 2005.10190), one file each.

To add a theorem: write a file with a ``CLAIM`` and a function ``confront(runs) -> Finding``, and
add it to ``CLAIMS``. The command, the report and the tests of the registry find it there.
"""

from theory.claim import Theorem
from theory.feature_purification import (dense_mixtures, features_are_found,
                                         low_complexity_is_not_robust, low_rank_update,
                                         one_direction_breaks, perturbation_is_dense,
                                         perturbation_transfers, phase_picture, purification,
                                         robust_to_any)

__all__ = ["CLAIMS", "MODEL", "TITLE"]

TITLE = "Feature purification"
MODEL = "purification"

CLAIMS = tuple(Theorem(module.CLAIM, module.confront) for module in (
    features_are_found,
    dense_mixtures,
    one_direction_breaks,
    perturbation_is_dense,
    perturbation_transfers,
    purification,
    robust_to_any,
    low_complexity_is_not_robust,
    low_rank_update,
    phase_picture,
))
