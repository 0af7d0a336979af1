"""The training of a run to be watched in its page: a slider moves all that was kept along it.

The axes of the panels are drawn here, as SVG; ``player.js`` moves what is in them. Large arrays go
into the page as bytes: a coefficient in 255 steps up to where the colours end, a bar in 32767 up
to the largest. No scale moves with the frames. Without JavaScript the page shows
:func:`stops_figure`.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from theory.claim import Run
from theory.drawing.style import narrow_form
from theory.feature_purification.film import (black_limit, clean_end, colour_limit, features_note,
                                              stop_names, stops_figure, watched)
from theory.pages import kit
from theory.pages.kit import Html
from theory.scaling import binomial_limits

__all__ = ["SCRIPT", "STYLE", "player"]

HERE = Path(__file__).parent
SCRIPT = (HERE / "player.js").read_text(encoding="utf-8")
STYLE = (HERE / "player.css").read_text(encoding="utf-8")
ROOM = 0.13  # of an axis, from the middle of a tick's words to that of the next
# of a panel, in its own units; the top has room for the line that says what is seen now
WIDTH, LEFT, RIGHT, TOP, BOTTOM = 380, 46, 8, 24, 40
SAID = f'<text class="now" x="{WIDTH - RIGHT}" y="14" text-anchor="end"></text>'
NOW = '<circle r="6"/>' + SAID  # a point that the script moves, and what it says
FINEST = 32767  # steps of a bar


def player(run: Run) -> Html:
    """Return the slider with its panels, and what is seen without JavaScript; "" without frames."""
    frames = run.frames
    if not frames:
        return Html("")
    count = len(frames["step"])
    stops = stop_names(run)
    start = list(stops)[min(1, len(stops) - 1)]
    marks = "".join(
        f'<button type="button" class="stop" data-frame="{frame}" aria-pressed="false">'
        f'<canvas aria-hidden="true"></canvas><span>{kit.text(name)}</span></button>'
        for frame, name in stops.items())
    split = clean_end(run)
    controls = (
        '<div class="controls"><button type="button" class="play">▶ Play</button>'
        f'<div class="time"><input type="range" min="0" max="{count - 1}" step="1" '
        f'value="{start}" aria-label="step of the training"><div class="phases" '
        f'aria-hidden="true"><span class="clean" style="flex:{split}">clean training</span>'
        f'<span class="adversarial" style="flex:{count - 1 - split}">adversarial training</span>'
        "</div></div><output></output></div>")
    panels = (f'<div class="stage"><div class="stops">{marks}</div>'
              f'<div class="all">{_map(run)}{_ratio(run)}</div>'
              f'<div class="bars-and-curves">{_neuron(run)}{_perturbations(run)}{_accuracy(run)}'
              "</div></div>")
    data = json.dumps(_data(run), separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return kit.section(
        "Watch it train", Html(
            f'<div id="player" class="player" role="group" aria-label="the training, step by step" '
            f'hidden>{controls}{panels}</div>'
            f'<script type="application/json" id="frames">{data}</script>'),
        Html(f"<noscript>{_without_script(run)}</noscript>"), name="watch")


def _without_script(run: Run) -> Html:
    with narrow_form():
        small = stops_figure(run)
    return kit.figure(
        stops_figure(run), form="png", narrow=small,
        alt="What the neurons hold, one neuron alone, the perturbation that fools the network, and "
        "its accuracy against radius, at the start and at the end of each phase",
        caption="From left to right: before training, after clean and after adversarial training, "
        "all on the same scales. Black: a neuron's own feature; red: others that push to the same "
        "label; blue: against it. Solid: accuracy after one gradient step (FGM); dashed: along the "
        "universal direction; bands: 95 % limits. With JavaScript this is a film.")


def _data(run: Run) -> dict[str, Any]:
    """What the script is told."""
    frames, row = run.frames, watched(run)
    coefficients = np.asarray(frames["coefficients"], float)
    ends = np.where(np.eye(len(frames["features"]), dtype=bool), black_limit(run),
                    colour_limit(run))
    shades = np.where(np.isnan(coefficients), 0, np.rint(
        128 + 127 * np.clip(coefficients / ends, -1, 1))).astype(np.uint8)
    neuron, pushes = np.nan_to_num(coefficients[:, row]), frames["perturbations"]
    samples = int(frames["samples"])
    low, high = _limits(samples)
    return {"steps": frames["step"].tolist(), "clean": run.config.clean_steps,
            "features": frames["features"].tolist(), "d": pushes.shape[2],
            "map": _bytes(shades), "row": row, "neuron": _bars(neuron), "reach": _reach(neuron),
            "ratio": [float(f"{ratio:.4g}") for ratio in np.nan_to_num(frames["mixture_ratio"])],
            "perturbations": _bars(pushes),
            "tau": float(f"{frames['tau']:.6g}"),
            "radii": [float(f"{radius:.4g}") for radius in frames["radii"]],
            "samples": samples, "low": low, "high": high,
            **{name: np.rint(samples * frames[f"accuracy_{name}"]).astype(int).tolist()
               for name in ("universal", "fgm")}}


def _reach(values: Any) -> float:
    """The largest of bars."""
    return float(np.abs(np.asarray(values, float)).max()) or 1.0


def _bars(values: Any) -> str:
    return _bytes(np.rint(FINEST / _reach(values) * np.asarray(values, float)).astype("<i2"))


def _bytes(values: np.ndarray) -> str:
    return base64.b64encode(values.tobytes()).decode()


def _limits(samples: int) -> tuple[list[float], list[float]]:
    """Exact binomial limits of a share, for 0, 1, ..., all of the samples."""
    low, high = binomial_limits(np.arange(samples + 1) / samples, samples)
    return np.round(low, 3).tolist(), np.round(high, 3).tolist()


# --- the panels -----------------------------------------------------------------------------


def _map(run: Run) -> Html:
    keys = _keys((("background:#000;outline:1px solid #fff", "its own feature"),
                  ("background:#b2182b", "others that push to the same label"),
                  ("background:#2166ac", "others that push against it")))
    middle = 100 * (watched(run) + 0.5) / len(run.frames["features"])
    return Html('<figure><h3>What each neuron holds</h3><div class="map"><canvas id="map" '
                'role="img" aria-label="a row for the strongest neuron of each feature, a column '
                f'for each feature"></canvas><i style="top:{middle:.1f}%"></i></div>{keys}'
                f"<figcaption>A row is a neuron, a column a feature{kit.text(features_note(run))}. "
                f"The darker, the more: black from {black_limit(run):.2g} on, other colours end at "
                f"{colour_limit(run):.2g}, in every step."
                "</figcaption></figure>")


def _ratio(run: Run) -> str:
    """Over the frames, not the steps: most happens in the first steps of a phase."""
    frames = run.frames
    steps, ratio = frames["step"], np.nan_to_num(frames["mixture_ratio"])
    p, top = run.summary["p"], float(ratio.max())
    panel = _Panel("ratio", (0, len(steps) - 1), (min(0.0, float(ratio.min())), 1.08 * max(top, p)),
                   144, "gradient step (the first of each phase are stretched)",
                   ("0", kit.number(top, 2)), (0.0, top))
    marks = (panel.path("whole", range(len(steps)), ratio) + panel.rule("guide", x=clean_end(run))
             + panel.rule("guide", y=p)
             + panel.label("a feature is on: p", len(steps) - 1, p, "end")
             + '<path class="moving before"/><path class="moving after"/>' + NOW)
    return _figure("How much of it is mixture", panel, marks, panel.x_ticks(_step_ticks(run)))


def _step_ticks(run: Run) -> dict[float, str]:
    """Where on the axis of frames some steps are: 10 and 100 of each phase, and its ends."""
    steps, clean = run.frames["step"], run.config.clean_steps
    ticks = {0: "0", clean: str(clean), int(steps[-1]): str(steps[-1])}
    for begin, sign in ((0, ""), (clean, "+")):
        ticks |= {begin + more: f"{sign}{more}" for more in (10, 100)}
    kept: dict[float, str] = {}
    for step, words in ticks.items():
        at = float(np.interp(step, steps, np.arange(len(steps))))
        if all(abs(at - other) >= ROOM * (len(steps) - 1) for other in kept):
            kept[at] = words
    return kept


def _neuron(run: Run) -> str:
    row = watched(run)
    values = np.nan_to_num(np.asarray(run.frames["coefficients"][:, row], float))
    number = int(run.frames["features"][row])
    marks = ("towards", "against", "own")
    panel = _bar_panel("neuron", values, run.config.d, 120, is_last=False)
    width = _bar_width(len(run.frames["features"]))
    content = "".join(f'<path class="{kind}" stroke-width="{width:.2f}"/>' for kind in marks)
    return (f"<figure><h3>One of them: the neuron of feature {number}</h3>"
            f"{panel.svg(content + panel.rule('axis', y=0) + SAID)}</figure>")


def _perturbations(run: Run) -> str:
    pushes = np.asarray(run.frames["perturbations"], float)
    d, panels = run.config.d, []
    for sample in range(pushes.shape[1]):
        is_last = sample == pushes.shape[1] - 1
        panel = _bar_panel("", pushes, d, 60, is_last)
        ticks = panel.x_ticks({0: "0", d // 2: str(d // 2), d: str(d)}) if is_last else ""
        panels.append(panel.svg(
            f'<path class="moving" stroke-width="{_bar_width(d):.2f}"/>' + panel.rule("axis", y=0)
            + ticks + SAID, "bars"))
    return (f"<figure><h3>What fools it, of length τ</h3>{''.join(panels)}"
            "</figure>")


def _bar_panel(name: str, values: np.ndarray, d: int, inner: int, is_last: bool) -> "_Panel":
    """Over all features, with room for the bars of every frame; the last one names the axis."""
    reach = _reach(values)
    low, high = float(values.min()) / reach, max(0.0, float(values.max())) / reach or 1.0
    bottom = BOTTOM if is_last else 4
    return _Panel(name, (-1, d), (min(low, -0.05 * high), high), inner + TOP + bottom,
                  "feature" if is_last else "", ("0", kit.number(high * reach, 2)), (0.0, high),
                  bottom=bottom, floor="")


def _bar_width(bars: int) -> float:
    return max(0.6, 0.65 * (WIDTH - LEFT - RIGHT) / bars)


def _accuracy(run: Run) -> str:
    frames, arrays = run.frames, run.arrays
    radii = frames["radii"].tolist()
    tau = float(frames["tau"])
    panel = _Panel("accuracy", (0, radii[-1]), (0, 1.03), 190, "radius of the perturbation",
                   ("0", "0.5", "1"), (0, 0.5, 1))
    marks = panel.rule("guide", x=tau) + panel.label("τ", tau, 1.03, "start")
    for phase in ("clean", "adversarial"):
        if f"curve_{phase}_strongest" in arrays:
            marks += panel.path(f"end-{phase}", arrays["radii"], arrays[f"curve_{phase}_strongest"])
    marks += ('<path class="universal-band"/><path class="fgm-band"/>'
              '<path class="moving universal"/><path class="moving fgm"/>' + NOW)
    keys = ('<ul class="key"><li><i class="rule"></i>each sample attacked (one step, FGM)</li>'
            '<li><i class="rule dashed"></i>one direction for all</li>'
            '<li><i class="rule thin"></i>thin, once a phase is over: strongest attack</li>'
            "</ul>")
    return _figure("Accuracy against radius", panel, marks,
                   panel.x_ticks(_round_ticks(radii[-1])), keys)


def _figure(title: str, panel: "_Panel", marks: str, ticks: str, keys: str = "") -> str:
    return f"<figure><h3>{title}</h3>{panel.svg(ticks + marks)}{keys}</figure>"


def _keys(looks: Sequence[tuple[str, str]]) -> str:
    items = "".join(f'<li><i style="{style}"></i>{kit.text(words)}</li>' for style, words in looks)
    return f'<ul class="key">{items}</ul>'


def _round_ticks(end: float) -> dict[float, str]:
    """At most six round numbers from 0 on."""
    size = 10.0 ** np.floor(np.log10(end))
    step = next(size * share for share in (0.1, 0.2, 0.5, 1.0, 2.0) if end < 6 * size * share)
    return {float(at): f"{at:.3g}" for at in np.arange(0.0, end * (1 + 1e-9), step)}


class _Panel:
    """One pair of axes as SVG, whose scales the script reads from its attributes."""

    def __init__(self, name: str, x: tuple[float, float], y: tuple[float, float], height: int,
                 xlabel: str, ticks: Sequence[str], at: Sequence[float],
                 bottom: int = BOTTOM, floor: str = f"H{WIDTH - RIGHT}") -> None:
        self.name, self.ends, self.range, self.height = name, x, y, height
        self.xlabel, self.ticks, self.at, self.bottom = xlabel, ticks, at, bottom
        self.floor = floor  # of the frame: bars have a line at 0

    def x(self, value: float) -> float:
        low, high = self.ends
        return LEFT + (value - low) / (high - low) * (WIDTH - RIGHT - LEFT)

    def y(self, value: float) -> float:
        low, high = self.range
        floor = self.height - self.bottom
        return floor - (value - low) / (high - low) * (floor - TOP)

    def path(self, kind: str, xs: Any, ys: Any) -> str:
        points = "L".join(f"{self.x(x):.1f} {self.y(float(y)):.1f}"
                          for x, y in zip(xs, ys, strict=True))
        return f'<path class="{kind}" d="M{points}"/>'

    def rule(self, kind: str, x: float | None = None, y: float | None = None) -> str:
        if x is not None:
            return (f'<path class="{kind}" d="M{self.x(x):.1f} {TOP}'
                    f'V{self.height - self.bottom}"/>')
        return f'<path class="{kind}" d="M{LEFT} {self.y(y or 0.0):.1f}H{WIDTH - RIGHT}"/>'

    def label(self, words: str, x: float, y: float, anchor: str) -> str:
        return (f'<text x="{self.x(x) + (4 if anchor == "start" else 0):.1f}" '
                f'y="{max(self.y(y) - 4, 14):.1f}" text-anchor="{anchor}">{words}</text>')

    def x_ticks(self, ticks: Mapping[float, str]) -> str:
        """Words below the axis of x, by their place on it."""
        return "".join(f'<text x="{self.x(at):.1f}" y="{self.height - self.bottom + 16}" '
                       f'text-anchor="{"middle" if at < self.ends[1] else "end"}">{words}</text>'
                       for at, words in ticks.items())

    def svg(self, content: str, kind: str = "") -> str:
        """The panel with its frame, the ticks of y and the label of x."""
        floor = self.height - self.bottom
        ticks = "".join(f'<text x="{LEFT - 6}" y="{self.y(at) + 4:.1f}" text-anchor="end">{words}'
                        "</text>" for words, at in zip(self.ticks, self.at))
        label = (f'<text x="{(LEFT + WIDTH) / 2:.0f}" y="{self.height - 6}" text-anchor="middle">'
                 f"{self.xlabel}</text>" if self.xlabel else "")
        mark = (f' id="{self.name}"' if self.name else "") + (f' class="{kind}"' if kind else "")
        return (f'<svg{mark} viewBox="0 0 {WIDTH} {self.height}" aria-hidden="true" '
                f'data-x="{self.ends[0]} {self.ends[1]}" data-y="{self.range[0]} {self.range[1]}" '
                f'data-box="{LEFT} {TOP} {WIDTH - RIGHT} {floor}">'
                f'<path class="axis" d="M{LEFT} {TOP}V{floor}{self.floor}"/>{ticks}{label}'
                f"{content}</svg>")
