"""Training on a frozen kernel, in function space, and how far a ticket's can part from the dense.

    df/dt = -(1/n) K r(f),    r_n = -y_n sigmoid(-y_n f_n) = d loss / d f_n

is gradient flow of a network whose kernel K does not move, at its own n training inputs. For two
kernels K_s (a ticket's) and K_d (the dense network's) let ``D = f_s - f_d``. The logistic loss is
convex, so ``<D, r(f_s) - r(f_d)> >= 0``, and in the norm ``||v||^2 = v^T K_s^{-1} v``

    d/dt ||D|| <= (1/n) ||(K_s - K_d) r(f_d)||,

    ||D(t)|| <= ||D(0)|| + (1/n) int_0^t ||(K_s - K_d) r(f_d)|| ds

(the mechanism behind Shi et al., arXiv 2202.06488; the inequality in this form is derived here:
a reading). It needs K_s to be invertible. Flow and integral are solved together, by a
Runge-Kutta method of order 8 with error control.
"""

from dataclasses import dataclass

import numpy as np
from scipy.integrate import solve_ivp
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit

from simulator.checks import require_array, require_labels
from simulator.errors import NotInvertible

__all__ = ["FrozenFlow", "frozen_flow"]

RELATIVE, ABSOLUTE = 1e-8, 1e-10  # error of one step of the solver


@dataclass(frozen=True)
class FrozenFlow:
    """Both flows at the recorded times, and the two sides of the inequality.

    Attributes
    ----------
    times : ndarray, shape (times,)
    ticket, dense : ndarray, shape (times, n)
        f_s and f_d.
    distance : ndarray, shape (times,)
        ``||f_s - f_d||`` in the norm of K_s^{-1}.
    bound : ndarray, shape (times,)
        What the inequality allows it to be.
    condition : float
        Condition number of K_s.
    """

    times: np.ndarray
    ticket: np.ndarray
    dense: np.ndarray
    distance: np.ndarray
    bound: np.ndarray
    condition: float

    @property
    def relative_error(self) -> float:
        """``||f_s - f_d|| / ||f_d||`` over all recorded times together."""
        return float(np.linalg.norm(self.ticket - self.dense) / np.linalg.norm(self.dense))


def frozen_flow(ticket_kernel: np.ndarray, dense_kernel: np.ndarray, ticket_start: np.ndarray,
                dense_start: np.ndarray, y: np.ndarray, times: np.ndarray) -> FrozenFlow:
    """Follow both flows from their outputs at initialisation.

    Parameters
    ----------
    ticket_kernel, dense_kernel : ndarray, shape (n, n)
        K_s and K_d.
    ticket_start, dense_start : ndarray, shape (n,)
        f_s(0) and f_d(0).
    y : ndarray, shape (n,)
    times : ndarray, shape (times,)
        Ascending, from 0.

    Raises
    ------
    NotInvertible
        K_s is not positive definite to machine precision.
    ValueError
        Shapes, labels or times that do not fit.
    """
    n, real = len(y), np.dtype(np.float64)
    K_s, K_d = (require_array(name, K, (n, n), why="one row a sample", dtype=real)
                for name, K in (("ticket_kernel", ticket_kernel), ("dense_kernel", dense_kernel)))
    f_s, f_d = (require_array(name, f, (n,), why="one output a sample", dtype=real)
                for name, f in (("ticket_start", ticket_start), ("dense_start", dense_start)))
    y = require_labels("y", y, n, real)
    times = require_array("times", times, (None,), dtype=real)
    if len(times) < 2 or times[0] != 0.0 or (np.diff(times) <= 0.0).any():
        raise ValueError("times: expected at least two ascending times from 0, got others")
    sizes = np.linalg.eigvalsh(K_s)
    if sizes[0] <= n * np.finfo(float).eps * sizes[-1]:
        raise NotInvertible("ticket_kernel: expected a positive definite matrix, got eigenvalues "
                            f"from {sizes[0]:.2g} to {sizes[-1]:.2g}: the bound's norm needs its "
                            "inverse; take fewer samples or keep more weights")
    factor = cho_factor(K_s)

    def norm(v: np.ndarray) -> float:
        return float(np.sqrt(max(0.0, v @ cho_solve(factor, v))))

    def velocity(_: float, state: np.ndarray) -> np.ndarray:
        r_s, r_d = (-y * expit(-y * f) for f in (state[:n], state[n:2 * n]))
        pull = K_d @ r_d
        return np.concatenate([-(K_s @ r_s) / n, -pull / n, [norm(K_s @ r_d - pull) / n]])

    flow = solve_ivp(velocity, (0.0, times[-1]), np.concatenate([f_s, f_d, [0.0]]), "DOP853",
                     t_eval=times, rtol=RELATIVE, atol=ABSOLUTE)
    if not flow.success:
        raise RuntimeError(f"frozen flow: {flow.message}")
    ticket, dense = flow.y[:n].T, flow.y[n:2 * n].T
    distance = np.array([norm(a - b) for a, b in zip(ticket, dense)])
    return FrozenFlow(times, ticket, dense, distance, norm(f_s - f_d) + flow.y[2 * n],
                      float(sizes[-1] / sizes[0]))
