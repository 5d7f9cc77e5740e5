"""Curves as SVG files, the same bytes for the same points."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure as Canvas

from benchmarks.figures import Curve

mpl.use("svg")


def draw(curve: Curve, where: Path) -> None:
    """Write the file."""
    mpl.rcParams["svg.hashsalt"] = curve.name
    canvas = Canvas(figsize=(7, 4), layout="constrained")
    axes = canvas.subplots()
    for name, points in curve.series.items():
        axes.plot(*zip(*points, strict=True), marker="o", label=name)
    xs = [x for points in curve.series.values() for x, _ in points]
    if max(xs) >= 100 * min(xs) > 0:
        axes.set_xscale("log")
    axes.set(title=curve.title, xlabel=curve.x, ylabel=curve.y)
    axes.set_ylim(bottom=0)
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    canvas.savefig(where, metadata={"Date": None})
