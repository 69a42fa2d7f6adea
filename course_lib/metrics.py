"""How far two results lie apart: in percent, in representable values, and where."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from course_lib import _arguments
from course_lib._arguments import Array

__all__ = ["Agreement", "compare", "mape", "ulp_distance"]

BITS = {
    torch.float16: torch.int16,
    torch.bfloat16: torch.int16,
    torch.float32: torch.int32,
    torch.float64: torch.int64,
}
LARGEST = torch.iinfo(torch.int64).max


@dataclass(frozen=True)
class Agreement:
    """How far two tensors agree: what `compare` returns, and one line as text.

    Attributes
    ----------
    equal : bool
        Whether all entries are the same, bit for bit, except that +0 and -0 count as the same.
    n_different : int
        The number of entries that are not.
    max_abs : float
        The largest absolute difference; infinite where it overflows float64.
    max_ulp : int
        The largest `ulp_distance`, not necessarily of the same entry. It is large for values of almost
        0, where `max_abs` says more.
    where : tuple of int
        The index of the largest absolute difference, the first of several; of the first entry when
        `equal`, and empty for scalars.
    mape : float
        `mape` as a fraction, not in percent: relative to `b`, and never NaN, for where `b` is 0 the
        entry counts \\|a\\|. Infinite where it overflows float64.
    smallest_target : float
        The smallest \\|b\\|. The closer it is to 0, the less `mape` says; at 0 it adds absolute to relative
        errors.
    """

    equal: bool
    n_different: int
    max_abs: float
    max_ulp: int
    where: tuple[int, ...]
    mape: float
    smallest_target: float

    def __str__(self) -> str:
        if self.equal:
            return f"all entries are equal; smallest |target| {self.smallest_target:.2g}"
        entries = "1 entry differs" if self.n_different == 1 else f"{self.n_different:,} entries differ"
        ulps = "1 ULP" if self.max_ulp == 1 else f"{self.max_ulp:,} ULPs"
        return (
            f"{entries}, by at most {self.max_abs:.2g} (at {self.where}) and {ulps}; "
            f"MAPE {self.mape:.2g} as a fraction, smallest |target| {self.smallest_target:.2g}"
        )


def mape(
    prediction: Array,
    target: Array,
    *,
    percent: bool = True,
    zeros: Literal["absolute", "epsilon", "raise"] = "absolute",
) -> float:
    r"""Return the mean absolute percentage error, computed in float64.

    .. math:: \frac{100}{n}\sum_i \frac{|p_i - t_i|}{|t_i|}

    It is not symmetric: 150 is 50 % away from a target of 100, but 100 only 33 % from a target of 150. Nor
    does it look at single entries: the mean over many that agree hides one that does not. `compare` shows
    it beside the largest error.

    Parameters
    ----------
    prediction : array
        :math:`p`, of any shape and dtype.
    target : array
        :math:`t`, of the same shape: nothing is broadcast.
    percent : bool, default=True
        Whether the mean is multiplied by 100; without, it is a fraction.
    zeros : {"absolute", "epsilon", "raise"}, default="absolute"
        What an entry with :math:`t_i = 0` counts. "absolute": :math:`|p_i|`, as if it were relative to 1.
        "epsilon": every entry is divided by :math:`\max(|t_i|, 2^{-52})`, as in scikit-learn, so that it
        counts :math:`2^{52}|p_i|`. "raise": it is an error.

    Returns
    -------
    float
        Infinite where it overflows float64.

    Raises
    ------
    ValueError, TypeError
        If shapes differ, an array is empty or not finite, `zeros` is unknown, or a target is 0 and may
        not be.

    References
    ----------
    R. J. Hyndman and A. B. Koehler, "Another Look at Measures of Forecast Accuracy", International Journal
    of Forecasting 22, 2006.

    Examples
    --------
    >>> from course_lib.metrics import mape
    >>> print(f"{mape([150.0], [100.0]):.2f} {mape([100.0], [150.0]):.2f}")
    50.00 33.33
    >>> mape([0.25, 1.0], [0.0, 1.0], percent=False)
    0.125
    """
    prediction = _arguments.finite("prediction", prediction).detach().cpu().double()
    target = _arguments.finite("target", target).detach().cpu().double()
    _same_shape("prediction", prediction, "target", target)
    _arguments.flag("percent", percent)
    sizes, n = _denominator(target.abs(), zeros), target.numel()
    mean = ((prediction - target).abs() / sizes).mean().item()
    if math.isinf(mean):  # perhaps only on the way
        mean = 2 * ((prediction / 2 - target / 2).abs() / n / sizes).sum().item()
    return mean * (100 if percent else 1)


def ulp_distance(a: Array, b: Array) -> torch.Tensor:
    r"""Return how many steps between neighboring values of their dtype lead from a to b, entry by entry.

    .. math:: |k(a) - k(b)|

    where k numbers the representable values in their order, from k(0) = 0 on: the bits of a positive value
    are its number, and :math:`k(-x) = -k(x)`. So equal values, among them +0 and -0, are 0 apart, and
    neighbors, or the smallest value above 0 and 0 itself, are 1 apart. A distance counts units in the last
    place (ULPs) as long as no power of two lies between.

    Values of different sign are far apart however small they are: from -1e-15 to 1e-15 in float64 it is
    more than 8e18 steps. Compare values of almost 0 by their absolute difference.

    Parameters
    ----------
    a, b : Tensor or ndarray
        Of one shape and one dtype: float16, bfloat16, float32 or float64. Python floats are float64.

    Returns
    -------
    Tensor of int64, of the shape of a
        On the CPU. It saturates at 2**63 - 1, which float64 of different sign exceed, roughly, when the
        product of their sizes is above 4.

    Raises
    ------
    TypeError
        If the dtypes differ, or are none of these four.
    ValueError
        If the shapes differ, or an argument is empty or not finite.

    References
    ----------
    D. Goldberg, "What Every Computer Scientist Should Know About Floating-Point Arithmetic", ACM Computing
    Surveys 23, 1991.

    Examples
    --------
    >>> import torch
    >>> from course_lib.metrics import ulp_distance
    >>> ulp_distance(0.1 + 0.2, 0.3)
    tensor(1)
    >>> ulp_distance(torch.tensor([1.0, 0.0]), torch.tensor([1.0 + 2**-20, -0.0]))
    tensor([8, 0])
    """
    a, b = (_order(tensor) for tensor in _same_floats(a, b))
    low, high = torch.minimum(a, b), torch.maximum(a, b)
    return torch.minimum(high, LARGEST + low.clamp(max=0)) - low


def compare(a: Array, b: Array) -> Agreement:
    r"""Say how far two tensors agree: how many entries differ, by how much, and where.

    The largest differences are

    .. math:: \max_i |a_i - b_i| \quad\text{and}\quad \max_i |k(a_i) - k(b_i)|

    with k as in `ulp_distance`; the relative error is the mean of :math:`|a_i - b_i| / |b_i|`.

    Parameters
    ----------
    a, b : Tensor or ndarray
        Of one shape, possibly scalars, and one dtype: float16, bfloat16, float32 or float64. Python floats
        are float64. `b` is the target, to which `mape` is relative.

    Returns
    -------
    Agreement
        Its differences are computed in float64.

    Raises
    ------
    TypeError
        If the dtypes differ, or are none of these four.
    ValueError
        If the shapes differ, or an argument is empty or not finite.

    Examples
    --------
    >>> import torch
    >>> from course_lib.metrics import compare
    >>> target = torch.tensor([1.0, 2.0, 4.0])
    >>> agreement = compare(target + torch.tensor([0.0, 0.0, 2**-20]), target)
    >>> print(agreement)
    1 entry differs, by at most 9.5e-07 (at (2,)) and 2 ULPs; MAPE 7.9e-08 as a fraction, smallest |target| 1
    >>> agreement.equal, agreement.max_ulp
    (False, 2)
    """
    a, b = _same_floats(a, b)
    ulps = ulp_distance(a, b)
    gaps = (a.double() - b.double()).abs()
    return Agreement(
        equal=not ulps.any(),
        n_different=int(torch.count_nonzero(ulps)),
        max_abs=gaps.max().item(),
        max_ulp=int(ulps.max()),
        where=tuple(int(i) for i in np.unravel_index(int(gaps.argmax()), gaps.shape)),
        mape=mape(a, b, percent=False),
        smallest_target=b.double().abs().min().item(),
    )


def _denominator(size: torch.Tensor, zeros: Literal["absolute", "epsilon", "raise"]) -> torch.Tensor:
    """Return what the errors of targets of these sizes are divided by."""
    _arguments.choice("zeros", zeros, ("absolute", "epsilon", "raise"))
    if zeros == "absolute":
        return torch.where(size == 0, 1.0, size)
    if zeros == "epsilon":
        return size.clamp(min=np.finfo(np.float64).eps)
    n_zeros = torch.count_nonzero(size == 0).item()
    if n_zeros:
        raise ValueError(f"target must not be 0 anywhere, got 0 in {n_zeros} of {size.numel()} entries")
    return size


def _order(tensor: torch.Tensor) -> torch.Tensor:
    """Return the number k of each entry, int64: its bits, with their sign turned for negative values."""
    bits = tensor.view(BITS[tensor.dtype])
    size = (bits & torch.iinfo(bits.dtype).max).long()
    return torch.where(bits < 0, -size, size)


def _same_floats(a: Array, b: Array) -> tuple[torch.Tensor, torch.Tensor]:
    """Return both as tensors on the CPU, which must have one shape and one of the four dtypes."""
    a, b = _floats("a", a), _floats("b", b)
    if a.dtype != b.dtype:
        raise TypeError(f"a and b must have one dtype, got {a.dtype} and {b.dtype}")
    _same_shape("a", a, "b", b)
    return a, b


def _floats(name: str, value: Array) -> torch.Tensor:
    """Return `value` as a finite tensor on the CPU; unlike elsewhere, an integer does not become a float."""
    if isinstance(value, torch.Tensor) and value.dtype not in BITS:
        raise TypeError(f"{name} must be float16, bfloat16, float32 or float64, got {value.dtype}")
    tensor = _arguments.finite(name, value)
    if not isinstance(value, torch.Tensor) and np.asarray(value).dtype.kind != "f":
        raise TypeError(f"{name} must be an array of floats, got {np.asarray(value).dtype}")
    return tensor.detach().cpu().resolve_neg()


def _same_shape(name: str, tensor: torch.Tensor, other_name: str, other: torch.Tensor) -> None:
    if tensor.shape != other.shape:
        shapes = f"{tuple(tensor.shape)} and {tuple(other.shape)}"
        raise ValueError(f"{name} and {other_name} must have one shape, got {shapes}")
