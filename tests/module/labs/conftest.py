"""A lab draws a figure, too: none stays for the next test."""

import matplotlib.pyplot as plt
import pytest


@pytest.fixture(autouse=True)
def _no_figures_stay():
    yield
    plt.close("all")
