"""Reduce STIX Two Math to the alphabets and signs of the book's formulas.

python -m tools.build.math_font FILE

FILE is files/stix-two-math-latin-400-normal.woff2 of the npm package @fontsource/stix-two-math 5.3.0.
"""

import sys

from fontTools import subset

from tools import ROOT

FONT = ROOT / "book" / "_static" / "stix-two-math.woff2"
RANGES = [
    (0x20, 0x7E),  # ASCII
    (0x391, 0x3A9),  # Greek capitals
    (0x3B1, 0x3C9),  # Greek
    (0x1D434, 0x1D467),  # letters alone, which browsers slant
    (0x1D6FB, 0x1D71B),  # nabla and Greek letters alone
    (0x1D7CE, 0x1D7D7),  # bold digits
]
SIGNS = "\u00a0°±·×ˆ˜¯ϕϵℎℓℝ𝔼←→↔∂∇∈∏∑−∗∘∝∞∥‖≈≠≡≤≥≪≫⊤⊥⊙⋅⋯…⌈⌉⌊⌋⟨⟩′√∼"
CHARACTERS = {*SIGNS, *(chr(code) for first, last in RANGES for code in range(first, last + 1))}


def reduced(source, target):
    """Write those characters of a font, with their variants and what it says about formulas, as WOFF2."""
    options = subset.Options(flavor="woff2", layout_features=[], hinting=False)
    font = subset.load_font(source, options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(text="".join(CHARACTERS))
    subsetter.subset(font)
    subset.save_font(font, target, options)


if __name__ == "__main__":
    reduced(sys.argv[1], FONT)
    print(f"{FONT.name}: {FONT.stat().st_size:,} bytes")
