"""What "lambda" means in each library, and how to convert one into another."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, Literal

from course_lib import _checks

__all__ = ["KNOBS", "Knob", "convert"]

NET_MOMENTUM = "(1 - momentum) / (1 - dampening)"


@dataclass(frozen=True)
class Knob:
    r"""What one setting of one library means.

    The reference is :math:`J = \text{mean loss} + \tfrac{\lambda}{2}\|w\|^2` for "l2" (there is a 1/2)
    and :math:`J = \text{mean loss} + \lambda\|w\|_1` for "l1" (there is none). Its loss is the one that
    torch takes the mean of: :math:`(y - f)^2` without a 1/2, the log loss, the hinge. Nothing in it is
    multiplied by lr. A knob of value v has

    .. math:: \lambda = \frac{\text{factor} \cdot v^{\pm 1} \cdot \prod \text{times}}
        {\text{scale of its loss} \cdot \prod \text{per}}

    with the exponent -1 for an `inverse` knob such as C.

    Attributes
    ----------
    name : str
        ``library.Class.knob``, with a variant in parentheses where it matters.
    objective : str
        What the library minimizes, or does, in its own terms.
    penalty : {"l2", "l1", "decoupled"}
        "decoupled" stands for decay beside an adaptive step, which minimizes no such J. Decoupled decay
        beside SGD is "l2", by the point where it comes to rest.
    losses : dict of str to float, optional
        The losses it goes with, each with its size in units of the reference's (1/2 for a halved
        square). None: any loss, in the reference's own units.
    factor : float
    inverse : bool
    times, per : tuple of str
        Quantities, named as the arguments of `convert`.
    bias : {"free", "decayed", "none", "either"}
        What happens to the bias by default; "none" where the model has no bias, "either" for the
        reference, which takes it as the other side does.
    bias_is_a_choice : bool
        Whether that can be changed: by parameter groups, a mask, or the sum one writes.
    tolerance : float
        The largest difference of a coefficient that the check of this knob allows.
    check : str
        The command that fits both sides: "make test" or "make rosetta".

    Examples
    --------
    >>> from course_lib.conventions import KNOBS
    >>> KNOBS["sklearn.Ridge.alpha"].formula
    '2 alpha / n_samples'
    >>> KNOBS["sklearn.LinearSVC.C"].bias
    'decayed'
    """

    name: str
    objective: str
    penalty: Literal["l2", "l1", "decoupled"] = "l2"
    losses: Mapping[str, float] | None = None
    factor: float = 1.0
    inverse: bool = False
    times: tuple[str, ...] = ()
    per: tuple[str, ...] = ()
    bias: Literal["free", "decayed", "none", "either"] = "free"
    bias_is_a_choice: bool = False
    tolerance: float = 1e-8
    check: str = "make test"

    @property
    def formula(self) -> str:
        """The lambda of the reference, in words; for each loss, where losses differ."""
        texts = {self._formula(scale): loss for loss, scale in (self.losses or {"": 1.0}).items()}
        if len(texts) == 1:
            return next(iter(texts))
        return ", ".join(f"{text} ({loss})" for text, loss in texts.items())

    def _formula(self, scale: float) -> str:
        symbol = self.name.split(" (")[0].rpartition(".")[2]
        symbol = "value" if symbol == "lambda" else symbol
        factor = self.factor / scale
        above = [*([] if factor == 1 else [f"{factor:g}"]), *([] if self.inverse else [symbol]), *self.times]
        below = [*([symbol] if self.inverse else []), *self.per]
        fraction = " ".join(above) or "1"
        if below:
            fraction += f" / {below[0]}" if len(below) == 1 else f" / ({' '.join(below)})"
        return fraction


# Losses in units of torch's, which take (y - f)^2 without a 1/2.
SQUARES = {"squared_error": 1.0}
HALF_SQUARES = {"squared_error": 0.5}
LOG = {"log_loss": 1.0}
HINGES = {"squared_hinge": 1.0, "hinge": 1.0}

# Coupled: optimizers of torch that add weight_decay * parameter to the gradient. (So does ASGD, beside a
# decay of its own, lambd, that stays.)
COUPLED = ("SGD", "Adadelta", "Adagrad", "Adam", "Adamax", "NAdam", "RAdam", "RMSprop")
YOURS: dict[str, Any] = {"bias": "decayed", "bias_is_a_choice": True}
WRITTEN: dict[str, Any] = {"bias": "free", "bias_is_a_choice": True}
ROSETTA: dict[str, Any] = {"check": "make rosetta"}

_KNOBS = [
    Knob("reference.lambda", "mean loss + (lambda/2) |w|^2", bias="either"),
    Knob("reference.l1", "mean loss + l1 |w|_1", "l1", bias="either"),
    Knob("textbook.logistic.lambda", "(1/m) [sum loss + (lambda/2) |w|^2]", losses=LOG, per=("n_samples",), **WRITTEN),
    Knob("textbook.linear.lambda", "(1/2m) [sum (y - f)^2 + lambda |w|^2]", losses=HALF_SQUARES, per=("n_samples",), **WRITTEN),
    Knob("written.l2 (with 1/2)", "mean loss + (l2/2) |w|^2", **WRITTEN),
    Knob("written.l2 (no 1/2)", "mean loss + l2 |w|^2", factor=2.0, **WRITTEN),
    Knob("written.l1", "mean loss + l1 |w|_1", "l1", **WRITTEN),
    # PyTorch
    *(Knob(f"torch.{name}.weight_decay", "gradient of the mean loss + weight_decay w", **YOURS) for name in COUPLED),
    *(Knob(f"torch.{name}.weight_decay (sum)", "gradient of the summed loss + weight_decay w", per=("batch_size",), **YOURS) for name in COUPLED),
    Knob("torch.AdamW.weight_decay", "w *= 1 - lr weight_decay, then Adam's step", "decoupled", **YOURS),
    *(Knob(f"torch.{name}.weight_decay (decoupled)", f"w *= 1 - lr weight_decay, then {name}'s step", "decoupled", **YOURS) for name in ("Adam", "NAdam", "RAdam")),
    Knob("torch.Adafactor.weight_decay", "w *= 1 - lr weight_decay, then Adafactor's step", "decoupled", **YOURS),
    Knob("torch.Muon.weight_decay", "w *= 1 - lr weight_decay, then Muon's step", "decoupled", bias="none"),
    # the course, and the paper
    Knob("course_lib.SGDW.weight_decay", "w *= 1 - lr weight_decay, then SGD's step", times=(NET_MOMENTUM,), **YOURS),
    Knob("course_lib.SGDW.weight_decay (without lr)", "w *= 1 - weight_decay, then SGD's step", times=(NET_MOMENTUM,), per=("lr",), **YOURS),
    Knob("course_lib.ProximalSGD.weight_decay (l2)", "SGD's step, then w /= 1 + lr weight_decay", **YOURS),
    Knob("course_lib.ProximalSGD.weight_decay (l1)", "SGD's step, then |w| -= lr weight_decay, down to 0", "l1", **YOURS),
    Knob("paper.SGDW.lambda", "w -= momentum's step + eta lambda w", times=(NET_MOMENTUM,), per=("lr",), **YOURS),
    Knob("paper.AdamW.lambda", "w -= Adam's step + eta lambda w", "decoupled", per=("lr",), **YOURS),
    # scikit-learn
    Knob("sklearn.Ridge.alpha", "sum (y - f)^2 + alpha |w|^2", losses=SQUARES, factor=2.0, per=("n_samples",)),
    Knob("sklearn.Lasso.alpha", "(1/2n) sum (y - f)^2 + alpha |w|_1", "l1", HALF_SQUARES),
    Knob("sklearn.ElasticNet.alpha (l2 part)", "(1/2n) sum (y - f)^2 + alpha (1 - l1_ratio)/2 |w|^2 + ...", losses=HALF_SQUARES, times=("(1 - l1_ratio)",)),
    Knob("sklearn.ElasticNet.alpha (l1 part)", "(1/2n) sum (y - f)^2 + alpha l1_ratio |w|_1 + ...", "l1", HALF_SQUARES, times=("l1_ratio",)),
    Knob("sklearn.LogisticRegression.C", "C sum loss + |w|^2 / 2", losses=LOG, inverse=True, per=("n_samples",)),
    Knob("sklearn.LogisticRegression.C (l1)", "C sum loss + |w|_1", "l1", LOG, inverse=True, per=("n_samples",)),
    Knob("sklearn.LogisticRegression.C (liblinear)", "C sum loss + |(w, b)|^2 / 2", losses=LOG, inverse=True, per=("n_samples",), bias="decayed"),
    Knob("sklearn.LinearSVC.C", "C sum loss + |(w, b)|^2 / 2", losses=HINGES, inverse=True, per=("n_samples",), bias="decayed"),
    Knob("sklearn.SGDClassifier.alpha", "mean loss + (alpha/2) |w|^2", losses={**LOG, **HINGES}, tolerance=2e-2),
    Knob("sklearn.SGDRegressor.alpha", "mean (y - f)^2 / 2 + (alpha/2) |w|^2", losses=HALF_SQUARES, tolerance=1e-3),
    Knob("sklearn.MLPClassifier.alpha", "mean loss + (alpha / 2 batch_size) |w|^2", losses=LOG, per=("batch_size",), tolerance=1e-6),
    Knob("sklearn.MLPRegressor.alpha", "mean (y - f)^2 / 2 + (alpha / 2 batch_size) |w|^2", losses=HALF_SQUARES, per=("batch_size",), tolerance=1e-6),
    # Keras, optax, timm
    Knob("keras.L2.l2", "mean loss + l2 |w|^2", factor=2.0, **WRITTEN, tolerance=1e-6, **ROSETTA),
    Knob("keras.L1.l1", "mean loss + l1 |w|_1", "l1", **WRITTEN, tolerance=1e-6, **ROSETTA),
    Knob("keras.SGD.weight_decay", "w -= lr weight_decay w, then SGD's step", times=(NET_MOMENTUM,), **YOURS, tolerance=1e-6, **ROSETTA),
    Knob("keras.AdamW.weight_decay", "w -= lr weight_decay w, then Adam's step", "decoupled", **YOURS, tolerance=1e-6, **ROSETTA),
    Knob("optax.add_decayed_weights.weight_decay", "gradient of the mean loss + weight_decay w, before sgd", **YOURS, **ROSETTA),
    Knob("optax.adamw.weight_decay", "Adam's step, and w -= lr weight_decay w", "decoupled", **YOURS, **ROSETTA),
    Knob("timm.SGDW.weight_decay", "w *= 1 - lr weight_decay, then SGD's step", times=(NET_MOMENTUM,), **YOURS, **ROSETTA),
    # boosting: w are the values of the leaves, or of a linear booster
    Knob("xgboost.gbtree.lambda", "sum (y - f)^2 / 2 + (lambda/2) |leaves|^2", losses=HALF_SQUARES, per=("n_samples",), bias="none", tolerance=1e-6, **ROSETTA),
    Knob("xgboost.gbtree.alpha", "sum (y - f)^2 / 2 + alpha |leaves|_1", "l1", HALF_SQUARES, per=("n_samples",), bias="none", tolerance=1e-6, **ROSETTA),
    Knob("xgboost.gblinear.lambda", "mean loss + (lambda/2) |w|^2, squares halved", losses={**HALF_SQUARES, **LOG}, tolerance=2e-5, **ROSETTA),
    Knob("lightgbm.lambda_l2", "sum (y - f)^2 / 2 + (lambda_l2/2) |leaves|^2", losses=HALF_SQUARES, per=("n_samples",), bias="none", tolerance=1e-7, **ROSETTA),
    Knob("lightgbm.lambda_l1", "sum (y - f)^2 / 2 + lambda_l1 |leaves|_1", "l1", HALF_SQUARES, per=("n_samples",), bias="none", tolerance=1e-7, **ROSETTA),
    # statistics
    Knob("statsmodels.OLS.alpha (L1_wt=0)", "(1/2n) sum (y - f)^2 + (alpha/2) |w|^2", losses=HALF_SQUARES, **YOURS, **ROSETTA),
    Knob("statsmodels.OLS.alpha (L1_wt=1)", "(1/2n) sum (y - f)^2 + alpha |w|_1", "l1", HALF_SQUARES, **YOURS, **ROSETTA),
    Knob("statsmodels.GLM.alpha (L1_wt=0)", "-loglike / n + (alpha/2) |w|^2", losses=LOG, **YOURS, tolerance=2e-4, **ROSETTA),
    Knob("statsmodels.Logit.alpha (l1)", "-loglike + alpha |w|_1", "l1", LOG, per=("n_samples",), **YOURS, tolerance=1e-6, **ROSETTA),
    Knob("glmnet.gaussian.lambda (l2 part)", "(1/2n) sum (y - f)^2 + lambda (1 - l1_ratio)/2 |w|^2 + ..., y in units of its deviation", losses=HALF_SQUARES, times=("(1 - l1_ratio)",), per=("target_std",), **ROSETTA),
    Knob("glmnet.gaussian.lambda (l1 part)", "(1/2n) sum (y - f)^2 + lambda l1_ratio |w|_1 + ...", "l1", HALF_SQUARES, times=("l1_ratio",), **ROSETTA),
    Knob("glmnet.binomial.lambda (l2 part)", "mean loss + lambda (1 - l1_ratio)/2 |w|^2 + ...", losses=LOG, times=("(1 - l1_ratio)",), **ROSETTA),
    Knob("glmnet.binomial.lambda (l1 part)", "mean loss + lambda l1_ratio |w|_1 + ...", "l1", LOG, times=("l1_ratio",), **ROSETTA),
]  # fmt: skip

KNOBS = MappingProxyType({knob.name: knob for knob in _KNOBS})
"""Every knob that `convert` knows, by name."""


def convert(
    value: float,
    source: str,
    target: str,
    *,
    loss: str | None = None,
    decay_bias: bool | None = None,
    n_samples: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    momentum: float = 0.0,
    dampening: float = 0.0,
    l1_ratio: float | None = None,
    target_std: float | None = None,
) -> float:
    r"""Return the value of one knob that means what a value of another means.

    Both sides then have the same minimum, or, for a decoupled decay, the same point of rest; the way
    there may differ. The convention of each knob (is there a 1/2, is it multiplied by lr, is the bias
    in) is in `KNOBS`.

    Parameters
    ----------
    value : float
        Of the source's knob; at least 0, and above 0 where it or the result is an inverse such as C.
    source, target : str
        Names of `KNOBS`.
    loss : str, optional
        Such as "squared_error" or "log_loss"; needed only where both knobs go with several losses
        and the answer depends on it.
    decay_bias : bool, optional
        Whether the bias is decayed, on both sides. When None, each knob does what it does by default,
        and the two defaults have to agree.
    n_samples : int, optional
        Rows of the data set.
    batch_size : int, optional
        Rows whose losses are put together before a step: `n_samples` in full batch.
    lr : float, optional
        The learning rate of a decay that it does not multiply.
    momentum, dampening : float, default=0.0
        Those of SGD beside a decoupled decay; each from 0 to below 1. Without momentum, dampening does
        nothing, as in torch.
    l1_ratio : float, optional
        The share of L1 in an elastic net, from 0 to 1; glmnet calls it alpha.
    target_std : float, optional
        Standard deviation of y, the sum of squares divided by n.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If a name is unknown (the message lists those known, and the nearest), a quantity that the
        conversion needs is missing or out of range, or no conversion exists: L1 to L2, a decay beside
        an adaptive step to a penalty, another loss, a decayed bias to a free one.
    TypeError
        If an argument is of the wrong type.

    References
    ----------
    I. Loshchilov and F. Hutter, "Decoupled Weight Decay Regularization", ICLR 2019; for the libraries,
    their documentation and source, each fitted against the reference by the knob's check.

    Examples
    --------
    >>> from course_lib.conventions import convert
    >>> convert(0.1, "torch.SGD.weight_decay", "sklearn.Ridge.alpha", n_samples=80, decay_bias=False)
    4.0
    >>> convert(0.5, "sklearn.LogisticRegression.C", "reference.lambda", n_samples=80)
    0.025
    >>> convert(0.125, "torch.SGD.weight_decay", "course_lib.SGDW.weight_decay", momentum=0.5)
    0.25
    """
    source, target = _knob("source", source), _knob("target", target)
    value = _checks.number("value", value, strict=source.inverse or target.inverse)
    quantities = _quantities(n_samples, batch_size, lr, momentum, dampening, l1_ratio, target_std)
    _check_penalties(source, target)
    _check_bias(source, target, decay_bias)
    loss = _loss(source, target, loss)
    weight = _power(source, value) * _rate(source, loss, quantities)
    rate = _rate(target, loss, quantities)
    if rate == 0:
        raise ValueError(f"target: {target.name} = {target.formula} is 0 here, whatever its value")
    return _checks.number("value, converted,", _power(target, weight / rate), strict=target.inverse)


def _power(knob: Knob, value: float) -> float:
    """Return the value, or its inverse for a knob such as C; infinity where float64 has none."""
    if not knob.inverse:
        return value
    return 1 / value if value else math.inf


def _rate(knob: Knob, loss: str, quantities: Mapping[str, float | None]) -> float:
    """Return the lambda of a knob whose value is 1."""
    rate = knob.factor / _scale(knob, loss)
    for name in knob.times:
        rate *= _quantity(knob, name, quantities)
    for name in knob.per:
        rate /= _quantity(knob, name, quantities)
    return rate


def _quantity(knob: Knob, name: str, quantities: Mapping[str, float | None]) -> float:
    quantity = quantities[name]
    if quantity is None:
        argument = "l1_ratio" if "l1_ratio" in name else name
        raise ValueError(f"{argument} is needed: {knob.name} stands for lambda = {knob.formula}")
    return quantity


def _quantities(
    n_samples: int | None,
    batch_size: int | None,
    lr: float | None,
    momentum: float,
    dampening: float,
    l1_ratio: float | None,
    target_std: float | None,
) -> dict[str, float | None]:
    momentum, dampening = _share("momentum", momentum, below=1), _share("dampening", dampening, below=1)
    l1_ratio = None if l1_ratio is None else _share("l1_ratio", l1_ratio)
    return {
        "n_samples": None if n_samples is None else _checks.count("n_samples", n_samples),
        "batch_size": None if batch_size is None else _checks.count("batch_size", batch_size),
        "lr": None if lr is None else _checks.number("lr", lr, strict=True),
        NET_MOMENTUM: (1 - momentum) / (1 - dampening) if momentum else 1.0,  # torch dampens momentum only
        "l1_ratio": l1_ratio,
        "(1 - l1_ratio)": None if l1_ratio is None else 1 - l1_ratio,
        "target_std": None if target_std is None else _checks.number("target_std", target_std, strict=True),
    }


def _share(name: str, value: float, below: float | None = None) -> float:
    value = _checks.number(name, value)
    if value > 1 or value == below:
        raise ValueError(f"{name} must be {'below' if below else 'at most'} 1, got {value!r}")
    return value


def _knob(argument: str, name: str) -> Knob:
    if not isinstance(name, str):
        raise TypeError(f"{argument} must be the name of a knob, got {name!r}")
    if name in KNOBS:
        return KNOBS[name]
    library = name.partition(".")[0]
    same_library = [known for known in KNOBS if known.partition(".")[0] == library]
    known = same_library or sorted({known.partition(".")[0] for known in KNOBS})
    what = f"knobs of {library}" if same_library else "libraries"
    near = get_close_matches(name, KNOBS, cutoff=0)[0]
    raise ValueError(
        f"{argument}: no knob {name!r}, the nearest is {near!r}; known {what}: {', '.join(known)}"
    )


def _check_penalties(source: Knob, target: Knob) -> None:
    if source.penalty == target.penalty:
        return
    if "decoupled" in (source.penalty, target.penalty):
        decoupled = source if source.penalty == "decoupled" else target
        why = f"{decoupled.name} decays beside an adaptive step, which minimizes no mean loss + penalty"
    else:
        why = "one penalizes |w|, the other its square"
    raise ValueError(f"no conversion from source {source.name} to target {target.name}: {why}")


def _check_bias(source: Knob, target: Knob, decay_bias: bool | None) -> None:
    if decay_bias is not None:
        wanted = "decayed" if _checks.flag("decay_bias", decay_bias) else "free"
        for knob in (source, target):
            if knob.bias not in (wanted, "none", "either") and not knob.bias_is_a_choice:
                raise ValueError(f"decay_bias={decay_bias}: the bias of {knob.name} is always {knob.bias}")
    elif {source.bias, target.bias} == {"decayed", "free"}:
        fixed = [knob for knob in (source, target) if not knob.bias_is_a_choice]
        advice = "this cannot be changed"
        if len(fixed) < 2:
            side = "either" if not fixed else repr(fixed[0].bias == "decayed")
            advice = f"say which it is on both sides by decay_bias, {side} here"
        raise ValueError(
            f"no conversion from source {source.name}, whose bias is {source.bias}, to target {target.name}, "
            f"whose bias is {target.bias}: {advice}"
        )


def _loss(source: Knob, target: Knob, loss: str | None) -> str:
    if loss is not None and not isinstance(loss, str):
        raise TypeError(f"loss must be a string, got {loss!r}")
    if source.losses is None and target.losses is None:
        return "any"
    theirs = [knob.losses for knob in (source, target) if knob.losses is not None]
    possible = [name for name in theirs[0] if name in theirs[-1]]
    if not possible:
        raise ValueError(
            f"no conversion from source {source.name} to target {target.name}: they minimize different "
            f"losses, {' or '.join(theirs[0])} and {' or '.join(theirs[-1])}"
        )
    if loss is None:
        if len({_scale(source, name) / _scale(target, name) for name in possible}) > 1:
            raise ValueError(f"loss is needed, one of {', '.join(possible)}")
        return possible[0]
    if loss not in possible:
        raise ValueError(f"loss must be one of {', '.join(possible)} here, got {loss!r}")
    return loss


def _scale(knob: Knob, loss: str) -> float:
    """Return the size of a knob's loss in units of the reference's."""
    return 1.0 if knob.losses is None else knob.losses[loss]
