"""What is wrong with the letters of a figure: too small, cut off, or over each other."""

import numpy as np
from matplotlib.text import Text
from matplotlib.transforms import Affine2D, Bbox

from theory.drawing.style import COLUMN, PAGE

SMALLEST = 8.0  # points, printed at the width that the figure is made for
APART = 0.5  # points between two words, at least
OUTSIDE = 0.5  # points that may stick out: an extent is rounded to whole pixels


def faults(figure):
    """Return what is wrong with a figure's letters, one line each."""
    width = figure.get_size_inches()[0]
    wrong = [] if any(abs(width - made) < 1e-9 for made in (COLUMN, PAGE)) else [
        f"{width:g} in wide: neither a column nor a page"]
    figure.draw_without_rendering()
    hidden = _out_of_view(figure)
    shown = [text for text in figure.findobj(Text) if text.get_text().strip()
             and text.get_visible() and id(text) not in hidden]
    corners = [_corners(text) for text in shown]
    point = figure.dpi / 72.0
    wrong += [f"{text.get_text()!r}: {text.get_fontsize():g} pt" for text in shown
              if text.get_fontsize() < SMALLEST]
    page = figure.bbox.padded(OUTSIDE * point)
    wrong += [f"{text.get_text()!r}: sticks out of the figure" for text, box in zip(shown, corners)
              if not page.containsx(box[:, 0].min()) or not page.containsx(box[:, 0].max())
              or not page.containsy(box[:, 1].min()) or not page.containsy(box[:, 1].max())]
    wrong += [f"{shown[i].get_text()!r} over {shown[j].get_text()!r}"
              for i, j in _neighbours(corners, 2.0 * APART * point)
              if _gap(corners[i], corners[j]) < APART * point]
    return wrong


def _neighbours(corners, apart):
    """The pairs whose upright boxes are less than ``apart`` from each other: few of all."""
    if not corners:
        return []
    low, high = np.min(corners, axis=1), np.max(corners, axis=1)
    room = (low[:, None] - high).max(axis=2)
    near = np.triu(np.maximum(room, room.T) < apart, 1)
    return np.argwhere(near)


def _out_of_view(figure):
    """The labels of ticks that are not drawn: beyond the ends, of an axis or axes switched off."""
    hidden = set()
    for axes in figure.findobj(lambda artist: hasattr(artist, "xaxis")):
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(_scaled(axis, value) for value in axis.get_view_interval())
            room = 1e-9 * (high - low)
            off = not axes.axison or not axes.get_visible() or not axis.get_visible()
            hidden |= {id(label) for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())
                       for label in (tick.label1, tick.label2)
                       if off or not low - room <= _scaled(axis, tick.get_loc()) <= high + room}
    return hidden


def _scaled(axis, value):
    """Where a value lies along an axis, which may be logarithmic."""
    return axis.get_transform().transform(np.array([value], float))[0]


def _corners(text):
    """The corners of the words on paper, in pixels, shape (4, 2), turned as they are."""
    angle = text.get_rotation()
    if angle % 90.0 == 0.0:
        return _of(text.get_window_extent())
    assert text.get_rotation_mode() == "anchor", text.get_text()
    text.set_rotation(0.0)
    flat = _of(text.get_window_extent())
    text.set_rotation(angle)
    anchor = text.get_transform().transform(text.get_position())
    return Affine2D().rotate_deg_around(*anchor, angle).transform(flat)


def _of(box: Bbox):
    return np.array([[box.x0, box.y0], [box.x1, box.y0], [box.x1, box.y1], [box.x0, box.y1]])


def _gap(one, other):
    """Widest gap between two convex shapes over the directions of their sides; < 0: they meet."""
    sides = np.concatenate([np.roll(shape, -1, axis=0) - shape for shape in (one, other)])
    normals = np.stack([-sides[:, 1], sides[:, 0]], axis=1)
    normals = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    first, second = one @ normals.T, other @ normals.T
    return float(np.maximum(first.min(axis=0) - second.max(axis=0),
                            second.min(axis=0) - first.max(axis=0)).max())
