"""The frames of a run as pictures: those where a phase ends side by side, or all of them as a GIF.

The page of a run shows the same frames with a slider: :mod:`theory.feature_purification.player`.
"""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from theory.claim import Run
from theory.drawing.style import (COLOURS, GUIDE, NAMES, PAGE, DrawingError, house_style, is_narrow,
                                  new_figure, settle)
from theory.scaling import binomial_limits

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["black_limit", "clean_end", "colour_limit", "features_note", "save_gif", "stop_names",
           "stops_figure", "watched"]

FRAME, REST = 150, 1200  # milliseconds a frame is shown, and the end of a phase
GIF_DPI = 110
DASHES = {"universal": "--", "fgm": "-"}
TOWARDS, AGAINST = "#B2182B", "#2166AC"  # the neuron's own label


def colour_limit(run: Run) -> float:
    """Return the coefficient at which the colours end, in every frame.

    One in fifty beside the diagonal is beyond it after clean training. It does not move with the
    frames: what grows becomes darker, and what is lost fades.
    """
    rows = np.asarray(run.frames["coefficients"][clean_end(run)], float)
    return _quantile(np.abs(rows[~np.eye(len(rows), dtype=bool)]), 0.98)


def black_limit(run: Run) -> float:
    """Return the coefficient of a neuron's own feature that is black: half of them are after clean
    training.
    """
    return _quantile(np.diagonal(run.frames["coefficients"][clean_end(run)]).astype(float), 0.5)


def _quantile(values: np.ndarray, share: float) -> float:
    """Of what is known and not 0; 1 of nothing: it is divided by."""
    known = values[np.isfinite(values)]
    return float(np.quantile(known, share)) or 1.0 if len(known) else 1.0


def watched(run: Run) -> int:
    """Return the row of the neuron that is shown alone: it holds as much mixture as most.

    That of a feature which a neuron has in every frame, or at least in most of them; among these
    the middle one by what it holds beside its own feature after clean training.
    """
    rows = np.asarray(run.frames["coefficients"], float)
    held = np.isfinite(np.diagonal(rows, axis1=1, axis2=2)).sum(axis=0)
    most = np.flatnonzero(held == held.max())
    after = np.nan_to_num(rows[clean_end(run)])
    others = (after**2).sum(axis=1) - np.diagonal(after) ** 2
    return int(most[np.argsort(others[most], kind="stable")[len(most) // 2]])


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
    """The start and the end of each phase side by side: what neurons hold, one of them alone, what
    fools the network, accuracy against radius. For the width of a page, narrow for a phone's.
    """
    with house_style():
        stops = list(stop_names(run))
        figure, axes = new_figure(4, len(stops), sharey="row", size=(PAGE, 6.4),
                                  across=len(stops),
                                  height_ratios=(1.1 if is_narrow() else 2.2, 0.9, 0.8, 1.2))
        for column, frame in zip(axes.T, stops):
            _Film(run, column).show(frame)
        for panel in axes[:, 1:].ravel():
            panel.set_ylabel("")
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
        figure, axes = new_figure(3, 2, size=(PAGE, 4.9), width_ratios=(1.25, 1.0),
                                  height_ratios=(1.0, 0.8, 1.2))
        grid = axes[0, 0].get_gridspec()
        for ax in axes[:, 0]:
            ax.remove()
        film = _Film(run, (figure.add_subplot(grid[:, 0]), *axes[:, 1]))
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
    """Four panels that show one frame after the other: map, one neuron, perturbation, accuracy.

    Their axes and colours are those of all frames: what moves is the network.
    """

    def __init__(self, run: Run, panels: Any) -> None:
        self.run, self.frames = run, run.frames
        self.map, self.neuron, self.push, self.accuracy = panels
        self.limit, self.black, self.row = colour_limit(run), black_limit(run), watched(run)
        self.moving: list[Any] = []
        self._axes()

    def _axes(self) -> None:
        d = self.run.config.d
        self.map.set(ylabel="neuron of feature $i$")
        self.map.spines[:].set_visible(False)
        self.map.tick_params(length=0)
        number = int(self.frames["features"][self.row])
        for panel, values, words in (
                (self.neuron, self.frames["coefficients"][:, self.row], f"neuron of {number}"),
                (self.push, self.frames["perturbations"][:, 0], "perturbation")):
            panel.set(xlim=(-1, d), ylim=_ends(values), ylabel=words)
            panel.axhline(0.0, color="black", linewidth=0.5)
        self.push.set_xlabel("feature $j$")
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
        d = self.run.config.d
        rows = np.asarray(frames["coefficients"][frame], float)
        push = frames["perturbations"][frame, 0].astype(float)
        title = _when(step, is_clean)
        self.map.set_title(title.replace(" ", "\n") if is_narrow() else title,
                           color="black" if step == 0 else colour)
        self.moving = [*self._map(rows), *self._neuron(rows[self.row]),
                       self.push.vlines(np.arange(d), 0.0, push, color=colour, linewidth=1.0)]
        for attack, dash in DASHES.items():
            share = frames[f"accuracy_{attack}"][frame]
            limits = binomial_limits(share, int(frames["samples"]))
            self.moving += [
                *self.accuracy.plot(frames["radii"], share, dash, color=colour),
                self.accuracy.fill_between(frames["radii"], *limits, color=colour, alpha=0.13,
                                           linewidth=0)]

    def _map(self, rows: np.ndarray) -> list[Any]:
        d = self.run.config.d
        own = np.where(np.eye(len(rows), dtype=bool), rows, np.nan)
        look: dict[str, Any] = {"extent": (-0.5, d - 0.5, d - 0.5, -0.5), "interpolation": "none"}
        return [self.map.imshow(rows, cmap="RdBu_r", vmin=-self.limit, vmax=self.limit, **look),
                self.map.imshow(own, cmap="gray_r", vmin=0.0, vmax=self.black, **look)]

    def _neuron(self, row: np.ndarray) -> list[Any]:
        """Its own feature in black, the others in the colours of the map."""
        at, others = self.frames["features"], np.arange(len(row)) != self.row
        return [self.neuron.vlines(at[chosen], 0.0, row[chosen], color=colour, linewidth=width)
                for chosen, colour, width in ((others & (row > 0.0), TOWARDS, 1.0),
                                              (others & (row < 0.0), AGAINST, 1.0),
                                              (~others, "black", 2.0))]


def _ends(values: np.ndarray) -> tuple[float, float]:
    """The axis on which bars have room in every frame."""
    values = np.nan_to_num(np.asarray(values, float))
    return 1.05 * min(0.0, float(values.min())), 1.05 * float(values.max()) or 1.0


def _when(step: int, is_clean: bool) -> str:
    if step == 0:
        return "before training"
    return f"step {step}, {'clean' if is_clean else 'adversarial'} training"
