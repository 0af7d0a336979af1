"""The frames of a run as pictures: those where a phase ends side by side, or all of them as a GIF.

The page of a run shows the same frames with a slider: :mod:`theory.feature_purification.player`.
"""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from theory.claim import Run
from theory.drawing.style import (COLOURS, GUIDE, NAMES, PAGE, DrawingError, house_style,
                                  new_figure, settle)
from theory.feature_purification.figures import colour_end
from theory.scaling import binomial_limits

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["clean_end", "colour_limit", "features_note", "relative", "save_gif", "stop_names",
           "stops_figure"]

FRAME, REST = 150, 1200  # milliseconds a frame is shown, and the end of a phase
GIF_DPI = 110
DASHES = {"universal": "--", "fgm": "-"}


def relative(coefficients: np.ndarray) -> np.ndarray:
    """Return each row in units of the neuron's own feature, on the diagonal, which becomes 1.

    Parameters
    ----------
    coefficients : ndarray, shape (..., F, F)
    """
    rows = np.asarray(coefficients, float)
    own = np.diagonal(rows, axis1=-2, axis2=-1)[..., None]
    return rows / np.where(own > 0.0, own, np.nan)


def colour_limit(run: Run) -> float:
    """Return where the colours end: one entry in fifty is beyond it after clean training."""
    return colour_end(relative(run.frames["coefficients"][clean_end(run)]))


def clean_end(run: Run) -> int:
    """Return the frame at the end of clean training."""
    return int(np.searchsorted(run.frames["step"], run.config.clean_steps))


def stop_names(run: Run) -> dict[int, str]:
    """Return the frames at the start and at the end of each phase, with what they are."""
    last = len(run.frames["step"]) - 1
    names = {0: "before training", clean_end(run): NAMES["clean"], last: NAMES["adversarial"]}
    return names if run.config.adversarial_steps else {0: names[0], last: NAMES["clean"]}


def features_note(run: Run) -> str:
    """Return how many of the features are shown, where not all are."""
    shown, d = len(run.frames["features"]), run.config.d
    return "" if shown == d else f" ({shown} of {d}, evenly spaced)"


def stops_figure(run: Run) -> "Figure":
    """The start and the end of each phase side by side: what neurons hold, what fools the network,
    accuracy against radius. For the width of a page.
    """
    with house_style():
        stops = list(stop_names(run))
        figure, axes = new_figure(3, len(stops), sharey="row", size=(PAGE, 5.6),
                                  height_ratios=(2.2, 0.8, 1.2))
        for column, frame in zip(axes.T, stops):
            _Film(run, column).show(frame)
        return figure


def save_gif(run: Run, path: Path) -> Path:
    """Write all frames as a GIF, which pauses where a phase ends, and return its path.

    Raises
    ------
    DrawingError
        The run has no frames, or the file cannot be written.
    """
    if not run.frames:
        raise DrawingError(f"{run.folder.path if run.folder else 'run'}: has no frames to animate: "
                           "it was made with frames=0 or before there were any")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image
    with house_style():
        figure, axes = new_figure(2, 2, size=(PAGE, 4.6), width_ratios=(1.25, 1.0))
        grid = axes[0, 0].get_gridspec()
        for ax in axes[:, 0]:
            ax.remove()
        film = _Film(run, (figure.add_subplot(grid[:, 0]), axes[0, 1], axes[1, 1]))
        figure.set_dpi(GIF_DPI)
        canvas: Any = FigureCanvasAgg(figure)
        pictures = []
        for frame in range(len(run.frames["step"])):
            film.show(frame)
            settle(figure)  # at the first picture: there the panels stay
            canvas.draw()
            picture = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
            # an octree keeps the few dark red cells, which a median cut makes grey
            pictures.append(picture.quantize(255, Image.Quantize.FASTOCTREE))
    stops = stop_names(run)
    buffer = io.BytesIO()
    pictures[0].save(buffer, format="GIF", save_all=True, append_images=pictures[1:], loop=0,
                     duration=[REST if frame in stops else FRAME
                               for frame in range(len(pictures))])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(buffer.getvalue())
    except OSError as error:
        raise DrawingError(f"{path}: cannot be written: {error.strerror or error}") from error
    return path


class _Film:
    """Three panels that show one frame after the other: map, perturbation, accuracy."""

    def __init__(self, run: Run, panels: Any) -> None:
        self.run, self.frames = run, run.frames
        self.map, self.push, self.accuracy = panels
        self.limit = colour_limit(run)
        pushes = np.asarray(self.frames["perturbations"][:, 0], float)
        self.ends = 1.05 * min(0.0, float(pushes.min())), 1.05 * float(pushes.max()) or 1.0
        self.moving: list[Any] = []
        self._axes()

    def _axes(self) -> None:
        d = self.run.config.d
        self.map.set(xlabel="feature $j$", ylabel="strongest neuron of feature $i$")
        self.map.spines[:].set_visible(False)
        self.map.tick_params(length=0)
        self.push.set(xlabel="feature $j$", xlim=(-1, d), ylabel="perturbation",
                      ylim=self.ends)
        self.push.axhline(0.0, color="black", linewidth=0.5)
        radii = self.frames["radii"]
        self.accuracy.axvline(float(self.frames["tau"]), **GUIDE)
        self.accuracy.set(xlabel="radius", ylabel="accuracy", xlim=(0, radii[-1]),
                          ylim=(-0.02, 1.03))

    def show(self, frame: int) -> None:
        """Show a frame in the place of the one before."""
        for artist in self.moving:
            artist.remove()
        frames, step = self.frames, int(self.frames["step"][frame])
        is_clean = step <= self.run.config.clean_steps
        colour = COLOURS["clean" if is_clean else "adversarial"]
        d, extent = self.run.config.d, (-0.5, self.run.config.d - 0.5,
                                        self.run.config.d - 0.5, -0.5)
        rows = relative(frames["coefficients"][frame])
        own = np.where(np.eye(len(rows), dtype=bool) & np.isfinite(rows), 0.0, np.nan)
        look: dict[str, Any] = {"extent": extent, "interpolation": "none"}
        image = self.map.imshow(rows, cmap="RdBu_r", vmin=-self.limit, vmax=self.limit, **look)
        diagonal = self.map.imshow(own, cmap="gray", vmin=0.0, vmax=1.0, **look)
        self.map.set_title(f"{_when(step, is_clean)}\nmixture ratio "
                           f"{float(frames['mixture_ratio'][frame]):.3f}",
                           color="black" if step == 0 else colour)
        push = self.push.vlines(np.arange(d), 0.0, frames["perturbations"][frame, 0].astype(float),
                                color=colour, linewidth=1.0)
        self.moving = [image, diagonal, push]
        for attack, dash in DASHES.items():
            share = frames[f"accuracy_{attack}"][frame]
            limits = binomial_limits(share, int(frames["samples"]))
            self.moving += [
                *self.accuracy.plot(frames["radii"], share, dash, color=colour),
                self.accuracy.fill_between(frames["radii"], *limits, color=colour, alpha=0.13,
                                           linewidth=0)]


def _when(step: int, is_clean: bool) -> str:
    if step == 0:
        return "before training"
    return f"step {step}, {'clean' if is_clean else 'adversarial'} training"
