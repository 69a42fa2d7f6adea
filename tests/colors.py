"""Colors as readers see them: their contrast, in the dark theme, and with color-blind eyes."""

import re

import numpy as np
from matplotlib.colors import to_rgb

from tools import ROOT

# Machado, Oliveira and Fernandes (2009), severity 1.0
NO_GREEN = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
NO_RED = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
TO_XYZ = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]


def linear(color):
    return [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]


def luminance(color):
    """As WCAG 2.1 defines it."""
    return np.dot(linear(color), (0.2126, 0.7152, 0.0722))


def contrast(color, other):
    dark, light = sorted([luminance(color), luminance(other)])
    return (light + 0.05) / (dark + 0.05)


def in_dark_theme(color):
    """Return what the rule of the book's style sheet makes of a color, as the Filter Effects Module says."""
    rule = r"\"dark\"\] [^{]*\.cell_output img \{[^}]*filter: invert\((.*?)\) hue-rotate\((.*?)deg\)"
    amount, turn = map(float, re.search(rule, (ROOT / "book/_static/book.css").read_text()).groups())
    assert turn == 180
    inverted = amount - (2 * amount - 1) * np.array(to_rgb(color))
    return tuple(np.clip(2 * np.dot(inverted, (0.213, 0.715, 0.072)) - inverted, 0, 1))


def lab(color, seen_by):
    """Return a color in CIELAB, as somebody sees it."""
    x, y, z = np.cbrt(TO_XYZ @ np.clip(np.array(seen_by) @ linear(color), 0, 1) / (0.9505, 1, 1.089))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])
