"""The runs that the claims of this folder share; see :mod:`theory.plans`.

"desk" is a pair of digits from a start as large as practice has it, "halves" all ten digits from a
small start, where mixtures come from training alone.
"""

from theory.plans import Family

__all__ = ["BOTH", "PAIR"]

SMOKE = (Family("smoke", seeds=3),)
PAIR = {"smoke": SMOKE, "desk": (Family("desk"),)}
BOTH = {"smoke": SMOKE, "desk": (Family("desk"), Family("halves"))}
