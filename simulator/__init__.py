"""What is run: data, networks, attacks, training and the quantities of the papers.

Import the modules themselves (``from simulator.attacks.gradient import FGM``); this file stays
empty of imports so that ``purify --help`` loads neither Numba nor SciPy.
"""

__version__ = "0.2.0"
