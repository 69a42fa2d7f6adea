"""What "lambda" means in each library, and how to convert one into another."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from numbers import Real
from typing import Any, Literal, TypeVar

from course_lib import _arguments

__all__ = ["KNOBS", "Knob", "convert"]

V = TypeVar("V")

NET_MOMENTUM = "(1 - momentum) / (1 - dampening)"
LOSSES = (
    "squared_error",
    "log_loss",
    "cross_entropy",
    "squared_hinge",
    "hinge",
    "squared_epsilon_insensitive",
    "epsilon_insensitive",
)
LIBRARIES = {
    "reference": "The reference",
    "textbook": "Textbooks",
    "written": "Written into the loss",
    "torch": "PyTorch",
    "course_lib": "This book",
    "paper": "The papers on decoupled decay and on Lion",
    "sklearn": "scikit-learn",
    "keras": "Keras",
    "xgboost": "XGBoost",
    "lightgbm": "LightGBM",
}
PENALIZED = {"l1": "|w|", "l21": "the length of w, feature by feature", "l2": "its square"}
STEPS = {
    "AdamW": "an adaptive step",
    "Lion": "the sign of a momentum",
    "Muon": "a momentum whose singular values are made equal",
    "Adafactor": "a step in proportion to the weights",
}


class _ReadOnly(Mapping[str, V]):
    """A mapping that cannot be changed, but can be copied and pickled."""

    def __init__(self, items: Mapping[str, V]) -> None:
        self._items = dict(items)

    def __getitem__(self, key: str) -> V:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return repr(self._items)


@dataclass(frozen=True)
class Knob:
    r"""What one setting of one library means.

    The reference is :math:`J = \text{mean loss} + \tfrac{\lambda}{2}\|w\|^2` for "l2" (there is a 1/2),
    :math:`J = \text{mean loss} + \lambda\|w\|_1` for "l1" and
    :math:`J = \text{mean loss} + \lambda\sum_j\|w_j\|` for "l21", with the weights :math:`w_j` of feature j
    (there is none). Its mean is torch's: of :math:`(y - f)^2` without a 1/2, the log loss or the hinge over
    rows and outputs, of the cross-entropy over rows. Nothing in it is multiplied by lr. A knob of value v has

    .. math:: \lambda = \frac{\text{factor} \cdot v^{\pm 1} \cdot \prod \text{times}}
        {\text{scale of its loss} \cdot \prod \text{per}}

    with the exponent -1 for an `inverse` knob such as C, and without n_outputs for the cross-entropy.

    Attributes
    ----------
    name : str
        ``library.Class.knob``, with a variant in parentheses where it matters.
    objective : str
        What the library minimizes, or does, in its own terms.
    penalty : {"l2", "l1", "l21", "decoupled"}
        "decoupled" stands for decay beside a step that is not the gradient's, which minimizes no such J.
        Decoupled decay beside SGD is "l2", by the point where it comes to rest.
    beside : {"", "AdamW", "Lion", "Muon", "Adafactor"}
        Whose step a decoupled decay stands beside. Beside another, the same decay is stronger or weaker.
    losses : mapping of str to float, optional
        The losses it goes with, each with its size in units of the reference's (1/2 for a halved
        square, or where one logit stands for two); "of 1" or "of 2" after a name: with as many outputs.
        None: any loss, in the reference's own units.
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
    '2 alpha / (n_samples n_outputs)'
    >>> KNOBS["sklearn.LogisticRegression.C"].formulas["cross_entropy of 2"]
    '2 / (C n_samples)'
    >>> KNOBS["sklearn.LinearSVC.C"].bias
    'decayed'
    """

    name: str
    objective: str
    penalty: Literal["l2", "l1", "l21", "decoupled"] = "l2"
    beside: Literal["", "AdamW", "Lion", "Muon", "Adafactor"] = ""
    losses: Mapping[str, float] | None = None
    factor: float = 1.0
    inverse: bool = False
    times: tuple[str, ...] = ()
    per: tuple[str, ...] = ()
    bias: Literal["free", "decayed", "none", "either"] = "free"
    bias_is_a_choice: bool = False
    tolerance: float = 1e-8
    check: str = "make test"

    def __post_init__(self) -> None:
        if self.losses is not None:
            object.__setattr__(self, "losses", _ReadOnly(self.losses))

    @property
    def formula(self) -> str:
        """The lambda of the reference, in words, for the first of its losses."""
        return next(iter(self.formulas.values()))

    @property
    def formulas(self) -> dict[str, str]:
        """The lambda of the reference, in words, for each of its losses."""
        return {loss: self._formula(loss) for loss in self.losses or ("any", "cross_entropy")}

    def _formula(self, loss: str) -> str:
        symbol = self.name.split(" (")[0].rpartition(".")[2]
        symbol = "value" if symbol == "lambda" else symbol
        factor = self.factor / self._scale(loss)
        above = [*([] if factor == 1 else [f"{factor:g}"]), *([] if self.inverse else [symbol]), *self.times]
        below = [*([symbol] if self.inverse else []), *self._per(loss)]
        fraction = " ".join(above) or "1"
        if below:
            fraction += f" / {below[0]}" if len(below) == 1 else f" / ({' '.join(below)})"
        return fraction

    def _entries(self, n_outputs: int) -> dict[str, str]:
        """Return the losses it goes with, each with the name under which `losses` holds it."""
        return {
            loss: name
            for loss in LOSSES
            for name in (loss, f"{loss} of {n_outputs}")
            if name in (self.losses or LOSSES) and (n_outputs > 1 or loss != "cross_entropy")
        }

    def _scale(self, loss: str) -> float:
        return 1.0 if self.losses is None else self.losses[loss]

    def _per(self, loss: str) -> tuple[str, ...]:
        averaged = not loss.startswith("cross_entropy")  # by torch, over outputs as well
        return tuple(name for name in self.per if averaged or name != "n_outputs")


# Losses in units of torch's, which take (y - f)^2 without a 1/2. One logit stands for two, w/2 and -w/2 of its
# w, whose squares together are half of its own, and whose absolute values are its own.
SQUARES = {"squared_error": 1.0}
HALF_SQUARES = {"squared_error": 0.5}
LOG = {"log_loss": 1.0, "cross_entropy of 2": 0.5}
LOG_L1 = {"log_loss": 1.0, "cross_entropy of 2": 1.0}
SOFTMAX = {"cross_entropy": 1.0, **LOG}
SOFTMAX_L1 = AS_WRITTEN = {"cross_entropy": 1.0, "log_loss": 1.0}
HINGES = {"squared_hinge": 1.0, "hinge": 1.0}
TUBES = {"squared_epsilon_insensitive": 1.0, "epsilon_insensitive": 1.0}

# Coupled: optimizers of torch that add weight_decay * parameter to the gradient. (So does ASGD, beside a
# decay of its own, lambd, that stays.)
COUPLED = ("SGD", "Adadelta", "Adagrad", "Adam", "Adamax", "NAdam", "RAdam", "RMSprop")
YOURS: dict[str, Any] = {"bias": "decayed", "bias_is_a_choice": True}
WRITTEN: dict[str, Any] = {"bias": "free", "bias_is_a_choice": True}
ADAMS: dict[str, Any] = {"penalty": "decoupled", "beside": "AdamW", **YOURS}
LIONS: dict[str, Any] = {"penalty": "decoupled", "beside": "Lion", **YOURS}
SUM: dict[str, Any] = {"per": ("n_samples", "n_outputs")}
BATCH: dict[str, Any] = {"per": ("batch_size", "n_outputs")}
MEAN: dict[str, Any] = {"per": ("n_outputs",)}  # over rows, of what is summed over outputs
C_SUM: dict[str, Any] = {"inverse": True, **SUM}
L1_PART: dict[str, Any] = {"penalty": "l1", "times": ("l1_ratio",)}
L2_PART: dict[str, Any] = {"times": ("(1 - l1_ratio)",)}
LEAVES: dict[str, Any] = {"losses": HALF_SQUARES, "bias": "none", **SUM}
ROSETTA: dict[str, Any] = {"check": "make rosetta"}

_KNOBS = [
    Knob("reference.lambda", "mean loss + (lambda/2) |w|^2", bias="either"),
    Knob("reference.l1", "mean loss + l1 |w|_1", "l1", bias="either"),
    Knob("reference.l21", "mean loss + l21 |w|_21", "l21", bias="either"),
    Knob("textbook.logistic.lambda", "(1/m) [sum loss + (lambda/2) |w|^2]", losses=AS_WRITTEN, **SUM, **WRITTEN),
    Knob("textbook.linear.lambda", "(1/2m) [sum (y - f)^2 + lambda |w|^2]", losses=HALF_SQUARES, **SUM, **WRITTEN),
    Knob("written.l2 (with 1/2)", "mean loss + (l2/2) |w|^2", **WRITTEN),
    Knob("written.l2 (no 1/2)", "mean loss + l2 |w|^2", factor=2.0, **WRITTEN),
    Knob("written.l1", "mean loss + l1 |w|_1", "l1", **WRITTEN),
    # PyTorch
    *(Knob(f"torch.{name}.weight_decay", "gradient of the mean loss + weight_decay w", **YOURS) for name in COUPLED),
    *(Knob(f"torch.{name}.weight_decay (sum)", "gradient of the summed loss + weight_decay w", **BATCH, **YOURS) for name in COUPLED),
    Knob("torch.AdamW.weight_decay", "w *= 1 - lr weight_decay, then Adam's step", **ADAMS),
    *(Knob(f"torch.{name}.weight_decay (decoupled)", f"w *= 1 - lr weight_decay, then {name}'s step", **ADAMS) for name in ("Adam", "NAdam", "RAdam")),
    Knob("torch.Adafactor.weight_decay", "w -= Adafactor's step + lr weight_decay w", "decoupled", "Adafactor", **YOURS),
    Knob("torch.Muon.weight_decay", "w *= 1 - lr weight_decay, then Muon's step", "decoupled", "Muon", bias="none"),
    # the course, and the papers
    Knob("course_lib.SGDW.weight_decay", "w *= 1 - lr weight_decay, then SGD's step", times=(NET_MOMENTUM,), **YOURS),
    Knob("course_lib.SGDW.weight_decay (without lr)", "w *= 1 - weight_decay, then SGD's step", times=(NET_MOMENTUM,), per=("lr",), **YOURS),
    Knob("course_lib.ProximalSGD.weight_decay (l2)", "SGD's step, then w /= 1 + lr weight_decay", **YOURS),
    Knob("course_lib.ProximalSGD.weight_decay (l1)", "SGD's step, then |w| -= lr weight_decay, down to 0", "l1", **YOURS),
    Knob("paper.SGDW.lambda", "w -= SGD's step + eta lambda w", times=(NET_MOMENTUM,), per=("lr",), **YOURS),
    Knob("paper.AdamW.lambda", "w -= Adam's step + eta lambda w", per=("lr",), **ADAMS),
    Knob("paper.Lion.lambda", "w -= Lion's step + lr lambda w", **LIONS),
    # scikit-learn
    Knob("sklearn.Ridge.alpha", "sum (y - f)^2 + alpha |w|^2", losses=SQUARES, factor=2.0, **SUM),
    Knob("sklearn.RidgeClassifier.alpha", "sum (y - f)^2 + alpha |w|^2, y = -1 or 1", losses=SQUARES, factor=2.0, **SUM),
    Knob("sklearn.Lasso.alpha", "(1/2n) sum (y - f)^2 + alpha |w|_1", "l1", losses=HALF_SQUARES, **MEAN),
    Knob("sklearn.ElasticNet.alpha (l2 part)", "(1/2n) sum (y - f)^2 + alpha (1 - l1_ratio)/2 |w|^2 + ...", losses=HALF_SQUARES, **L2_PART, **MEAN),
    Knob("sklearn.ElasticNet.alpha (l1 part)", "(1/2n) sum (y - f)^2 + alpha l1_ratio |w|_1 + ...", losses=HALF_SQUARES, **L1_PART, **MEAN),
    Knob("sklearn.MultiTaskLasso.alpha", "(1/2n) sum (y - f)^2 + alpha |w|_21", "l21", losses=HALF_SQUARES, **MEAN),
    Knob("sklearn.LogisticRegression.C", "C sum loss + |w|^2 / 2", losses=SOFTMAX, **C_SUM),
    Knob("sklearn.LogisticRegression.C (l1)", "C sum loss + |w|_1", "l1", losses=SOFTMAX_L1, **C_SUM),
    Knob("sklearn.LogisticRegression.C (l2 part)", "C sum loss + (1 - l1_ratio)/2 |w|^2 + ...", losses=SOFTMAX, **L2_PART, **C_SUM),
    Knob("sklearn.LogisticRegression.C (l1 part)", "C sum loss + l1_ratio |w|_1 + ...", losses=SOFTMAX_L1, **L1_PART, **C_SUM),
    Knob("sklearn.LogisticRegression.C (liblinear)", "C sum loss + |(w, b)|^2 / 2", losses=LOG, bias="decayed", **C_SUM),
    Knob("sklearn.LogisticRegression.C (liblinear, l1)", "C sum loss + |(w, b)|_1", "l1", losses=LOG_L1, bias="decayed", **C_SUM),
    Knob("sklearn.LinearSVC.C", "C sum loss + |(w, b)|^2 / 2", losses=HINGES, bias="decayed", **C_SUM),
    Knob("sklearn.LinearSVC.C (l1)", "C sum loss + |(w, b)|_1", "l1", losses={"squared_hinge": 1.0}, bias="decayed", **C_SUM),
    Knob("sklearn.LinearSVR.C", "C sum loss + |(w, b)|^2 / 2", losses=TUBES, bias="decayed", **C_SUM),
    Knob("sklearn.SVC.C", "C sum loss + |w|^2 / 2, of each pair of classes", losses={"hinge of 1": 1.0}, inverse=True, per=("n_samples",), tolerance=1e-6),
    Knob("sklearn.SVR.C", "C sum loss + |w|^2 / 2", losses={"epsilon_insensitive": 1.0}, tolerance=1e-6, **C_SUM),
    Knob("sklearn.SGDClassifier.alpha", "(1/n) sum loss + (alpha/2) |w|^2", losses={**LOG, **HINGES}, tolerance=5e-3, **MEAN),
    Knob("sklearn.SGDClassifier.alpha (l1)", "(1/n) sum loss + alpha |w|_1, unless averaged", "l1", losses={**LOG_L1, **HINGES}, tolerance=5e-3, **MEAN),
    Knob("sklearn.SGDClassifier.alpha (l2 part)", "(1/n) sum loss + alpha (1 - l1_ratio)/2 |w|^2 + ..., unless averaged", losses={**LOG, **HINGES}, tolerance=5e-3, **L2_PART, **MEAN),
    Knob("sklearn.SGDClassifier.alpha (l1 part)", "(1/n) sum loss + alpha l1_ratio |w|_1 + ..., unless averaged", losses={**LOG_L1, **HINGES}, tolerance=5e-3, **L1_PART, **MEAN),
    Knob("sklearn.SGDRegressor.alpha", "(1/2n) sum (y - f)^2 + (alpha/2) |w|^2", losses=HALF_SQUARES, tolerance=1e-3, **MEAN),
    Knob("sklearn.SGDRegressor.alpha (l1)", "(1/2n) sum (y - f)^2 + alpha |w|_1, unless averaged", "l1", losses=HALF_SQUARES, tolerance=1e-3, **MEAN),
    Knob("sklearn.SGDRegressor.alpha (l2 part)", "(1/2n) sum (y - f)^2 + alpha (1 - l1_ratio)/2 |w|^2 + ..., unless averaged", losses=HALF_SQUARES, tolerance=1e-3, **L2_PART, **MEAN),
    Knob("sklearn.SGDRegressor.alpha (l1 part)", "(1/2n) sum (y - f)^2 + alpha l1_ratio |w|_1 + ..., unless averaged", losses=HALF_SQUARES, tolerance=1e-3, **L1_PART, **MEAN),
    Knob("sklearn.MLPClassifier.alpha", "(1/b) [sum loss + (alpha/2) |w|^2] of a batch", losses=SOFTMAX, tolerance=1e-6, **BATCH),
    Knob("sklearn.MLPRegressor.alpha", "(1/2b) [sum (y - f)^2 + alpha |w|^2] of a batch, by sgd or adam", losses=HALF_SQUARES, tolerance=1e-6, **BATCH),
    # of several outputs, the loss that lbfgs compares is not the one whose gradient it follows
    Knob("sklearn.MLPRegressor.alpha (lbfgs)", "(1/2n) [sum (y - f)^2 + alpha |w|^2], of one output", losses={"squared_error of 1": 0.5}, per=("n_samples",), tolerance=1e-6),
    # Keras, optax, timm, pytorch-optimizer
    Knob("keras.L2.l2", "mean loss + l2 |w|^2", factor=2.0, **WRITTEN, tolerance=1e-6, **ROSETTA),
    Knob("keras.L1.l1", "mean loss + l1 |w|_1", "l1", **WRITTEN, tolerance=1e-6, **ROSETTA),
    Knob("keras.SGD.weight_decay", "w -= lr weight_decay w, then SGD's step", times=(NET_MOMENTUM,), **YOURS, tolerance=1e-6, **ROSETTA),
    Knob("keras.AdamW.weight_decay", "w -= lr weight_decay w, then Adam's step", **ADAMS, tolerance=1e-6, **ROSETTA),
    Knob("keras.Lion.weight_decay", "w -= lr weight_decay w, then Lion's step", **LIONS, tolerance=1e-6, **ROSETTA),
    Knob("optax.add_decayed_weights.weight_decay", "gradient of the mean loss + weight_decay w, before sgd", **YOURS, **ROSETTA),
    Knob("optax.adamw.weight_decay", "Adam's step, and w -= lr weight_decay w", **ADAMS, **ROSETTA),
    Knob("optax.lion.weight_decay", "Lion's step, and w -= lr weight_decay w", **LIONS, **ROSETTA),
    Knob("timm.SGDW.weight_decay", "w *= 1 - lr weight_decay, then SGD's step", times=(NET_MOMENTUM,), **YOURS, **ROSETTA),
    Knob("timm.Lion.weight_decay", "w *= 1 - lr weight_decay, then Lion's step", **LIONS, **ROSETTA),
    Knob("pytorch_optimizer.Lion.weight_decay", "w *= 1 - lr weight_decay, then Lion's step", **LIONS, **ROSETTA),
    # boosting: w are the values of the leaves, or of a linear booster
    Knob("xgboost.gbtree.lambda", "sum (y - f)^2 / 2 + (lambda/2) |leaves|^2", tolerance=1e-6, **LEAVES, **ROSETTA),
    Knob("xgboost.gbtree.alpha", "sum (y - f)^2 / 2 + alpha |leaves|_1", "l1", tolerance=1e-6, **LEAVES, **ROSETTA),
    Knob("xgboost.gblinear.lambda", "(1/n) sum loss + (lambda/2) |w|^2, squares halved", losses={**HALF_SQUARES, **LOG}, tolerance=2e-5, **MEAN, **ROSETTA),
    Knob("lightgbm.lambda_l2", "sum (y - f)^2 / 2 + (lambda_l2/2) |leaves|^2", tolerance=1e-7, **LEAVES, **ROSETTA),
    Knob("lightgbm.lambda_l1", "sum (y - f)^2 / 2 + lambda_l1 |leaves|_1", "l1", tolerance=1e-7, **LEAVES, **ROSETTA),
    # statistics
    Knob("statsmodels.OLS.alpha (L1_wt=0)", "(1/2n) sum (y - f)^2 + (alpha/2) |(w, b)|^2", losses=HALF_SQUARES, **MEAN, **YOURS, **ROSETTA),
    Knob("statsmodels.OLS.alpha (L1_wt=1)", "(1/2n) sum (y - f)^2 + alpha |(w, b)|_1", "l1", losses=HALF_SQUARES, **MEAN, **YOURS, **ROSETTA),
    Knob("statsmodels.GLM.alpha (L1_wt=0)", "-loglike / n + (alpha/2) |(w, b)|^2", losses=LOG, **MEAN, **YOURS, tolerance=2e-4, **ROSETTA),
    Knob("statsmodels.Logit.alpha (l1)", "-loglike + alpha |(w, b)|_1", "l1", losses=LOG_L1, **SUM, **YOURS, tolerance=1e-6, **ROSETTA),
    Knob("glmnet.gaussian.lambda (l2 part)", "(1/2n) sum (y - f)^2 + lambda (1 - l1_ratio)/(2 target_std) |w|^2 + ...", losses={"squared_error of 1": 0.5}, **L2_PART, per=("target_std",), **ROSETTA),
    Knob("glmnet.gaussian.lambda (l1 part)", "(1/2n) sum (y - f)^2 + lambda l1_ratio |w|_1 + ...", losses={"squared_error of 1": 0.5}, **L1_PART, **ROSETTA),
    Knob("glmnet.binomial.lambda (l2 part)", "(1/n) sum loss + lambda (1 - l1_ratio)/2 |w|^2 + ...", losses=LOG, **L2_PART, **MEAN, **ROSETTA),
    Knob("glmnet.binomial.lambda (l1 part)", "(1/n) sum loss + lambda l1_ratio |w|_1 + ...", losses=LOG_L1, **L1_PART, **MEAN, **ROSETTA),
]  # fmt: skip

KNOBS: Mapping[str, Knob] = _ReadOnly({knob.name: knob for knob in _KNOBS})
"""Every knob that `convert` knows, by name.

:meta hide-value:
"""


def convert(
    value: float,
    source: str,
    target: str,
    *,
    loss: str | None = None,
    decay_bias: bool | None = None,
    n_samples: float | None = None,
    n_outputs: int = 1,
    batch_size: float | None = None,
    lr: float | None = None,
    momentum: float = 0.0,
    dampening: float = 0.0,
    l1_ratio: float | None = None,
    target_std: float | None = None,
) -> float:
    r"""Return the value of one knob that means what a value of another means.

    Both sides then have the same minimum, or, for a decoupled decay, the same shrinking a step; the way
    there may differ. The convention of each knob (is there a 1/2, is it multiplied by lr, is the bias
    in) is in `KNOBS`.

    Parameters
    ----------
    value : float
        Of the source's knob; at least 0. For an inverse such as C it is above 0, and infinity stands for no
        penalty (scikit-learn's ``penalty=None``), as 0 does elsewhere.
    source, target : str
        Names of `KNOBS`.
    loss : str, optional
        "squared_error", "log_loss", "cross_entropy" (over as many logits as `n_outputs`), "squared_hinge",
        "hinge", "squared_epsilon_insensitive" or "epsilon_insensitive"; needed only where both knobs go
        with several and the answer depends on it. Another loss of which torch takes the mean over rows and
        outputs is like "squared_error" where both knobs go with any.
    decay_bias : bool, optional
        Whether the bias is decayed, on both sides. When None, each knob does what it does by default,
        and the two defaults have to agree.
    n_samples : float, optional
        Rows of the data set. With sample or class weights: what the mean loss divides by, the sum of the
        weights or the rows. See the notes.
    n_outputs : int, default=1
        Outputs of the model. A library that fits them one by one gets the same value for each.
    batch_size : float, optional
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
        conversion needs is missing or out of range, or no conversion exists: L1 to L2, a decoupled decay
        to a penalty or to one beside another kind of step, another loss, a decayed bias to a free one.
    TypeError
        If an argument is of the wrong type.

    Notes
    -----
    Weighted means are not all alike. torch's cross_entropy and mse_loss divide by the sum of their weights,
    and so do scikit-learn's Lasso, ElasticNet and MLP, XGBoost's gblinear and glmnet. torch's
    binary_cross_entropy, with weight or pos_weight, divides by the rows, and so do SGDClassifier and
    SGDRegressor. Knobs beside a sum of losses, such as C or Ridge's alpha, go with both: `n_samples` is what
    the other side divides by. Where the two sides divide by different numbers, scale the weights to a mean
    of 1 first.

    Two logits with the cross-entropy are one logit with the log loss, if nothing but their own weights is
    decayed: with a hidden layer, an L2 knob would have to differ between the layers.

    References
    ----------
    I. Loshchilov and F. Hutter, "Decoupled Weight Decay Regularization", ICLR 2019; X. Chen et al.,
    "Symbolic Discovery of Optimization Algorithms", NeurIPS 2023 (Lion); for the libraries, their
    documentation and source, each fitted against the reference by the knob's check.

    Examples
    --------
    >>> from course_lib.conventions import convert
    >>> convert(0.1, "torch.SGD.weight_decay", "sklearn.Ridge.alpha", n_samples=80, decay_bias=False)
    4.0
    >>> convert(0.5, "sklearn.LogisticRegression.C", "reference.lambda", n_samples=80)
    0.025
    >>> two_logits = {"loss": "cross_entropy", "n_outputs": 2}
    >>> convert(0.5, "sklearn.LogisticRegression.C", "reference.lambda", n_samples=80, **two_logits)
    0.05
    >>> convert(0.125, "torch.SGD.weight_decay", "course_lib.SGDW.weight_decay", momentum=0.5)
    0.25
    """
    source, target = _knob("source", source), _knob("target", target)
    value = _value(source, value)
    n_outputs = _arguments.count("n_outputs", n_outputs)
    quantities = _quantities(n_samples, n_outputs, batch_size, lr, momentum, dampening, l1_ratio, target_std)
    _check_penalties(source, target)
    _check_bias(source, target, decay_bias)
    loss = _loss(source, target, loss, n_outputs, quantities)
    theirs, ours = (_rate(knob, loss, n_outputs, quantities) for knob in (source, target))
    if ours == 0:
        raise ValueError(f"target: {target.name} = {target.formula} is 0 here, whatever its value")
    if theirs == 0 or value == _nothing(source):
        return _nothing(target)
    converted = _power(target, _power(source, value) * theirs / ours)
    names = dict.fromkeys(name for knob in (source, target) for name in (*knob.times, *knob._per(loss)))
    told = f" by {', '.join(names)}" if names else ""
    return _arguments.number(f"value, converted{told},", converted, strict=True)


def _nothing(knob: Knob) -> float:
    """Return the value of a knob that stands for no penalty."""
    return math.inf if knob.inverse else 0.0


def _value(knob: Knob, value: float) -> float:
    if knob.inverse and isinstance(value, Real) and value == math.inf:
        return math.inf
    return _arguments.number("value", value, strict=knob.inverse)


def _power(knob: Knob, value: float) -> float:
    """Return the value, or its inverse for a knob such as C; infinity where float64 has none."""
    if not knob.inverse:
        return value
    return 1 / value if value else math.inf


def _rate(knob: Knob, loss: str, n_outputs: int, quantities: Mapping[str, float | None]) -> float:
    """Return the lambda of a knob whose value is 1."""
    entry = knob._entries(n_outputs)[loss]
    rate = knob.factor / knob._scale(entry)
    for name in knob.times:
        rate *= _quantity(knob, name, entry, quantities)
    for name in knob._per(entry):
        rate /= _quantity(knob, name, entry, quantities)
    return rate


def _quantity(knob: Knob, name: str, entry: str, quantities: Mapping[str, float | None]) -> float:
    quantity = quantities[name]
    if quantity is None:
        argument = "l1_ratio" if "l1_ratio" in name else name
        raise ValueError(f"{argument} is needed: {knob.name} stands for lambda = {knob._formula(entry)}")
    return quantity


def _quantities(
    n_samples: float | None,
    n_outputs: int,
    batch_size: float | None,
    lr: float | None,
    momentum: float,
    dampening: float,
    l1_ratio: float | None,
    target_std: float | None,
) -> dict[str, float | None]:
    momentum, dampening = _share("momentum", momentum, below=1), _share("dampening", dampening, below=1)
    l1_ratio = None if l1_ratio is None else _share("l1_ratio", l1_ratio)
    sizes = {"n_samples": n_samples, "batch_size": batch_size, "lr": lr, "target_std": target_std}
    return {
        name: None if size is None else _arguments.number(name, size, strict=True)
        for name, size in sizes.items()
    } | {
        "n_outputs": n_outputs,
        NET_MOMENTUM: (1 - momentum) / (1 - dampening) if momentum else 1.0,  # torch dampens momentum only
        "l1_ratio": l1_ratio,
        "(1 - l1_ratio)": None if l1_ratio is None else 1 - l1_ratio,
    }


def _share(name: str, value: float, below: float | None = None) -> float:
    value = _arguments.number(name, value)
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
    if (source.penalty, source.beside) == (target.penalty, target.beside):
        return
    if source.beside and target.beside:
        theirs, ours = STEPS[source.beside], STEPS[target.beside]
        why = f"one decays beside {theirs}, the other beside {ours}, where the same decay is not as strong"
    elif source.beside or target.beside:
        decoupled = source if source.beside else target
        step = STEPS[decoupled.beside]
        why = f"{decoupled.name} decays beside {step}, which minimizes no mean loss + penalty"
    else:
        one, other = sorted((source.penalty, target.penalty), key=list(PENALIZED).index)
        why = f"one penalizes {PENALIZED[one]}, the other {PENALIZED[other]}"
    raise ValueError(f"no conversion from source {source.name} to target {target.name}: {why}")


def _check_bias(source: Knob, target: Knob, decay_bias: bool | None) -> None:
    if decay_bias is not None:
        wanted = "decayed" if _arguments.flag("decay_bias", decay_bias) else "free"
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


def _loss(
    source: Knob, target: Knob, loss: str | None, n_outputs: int, quantities: Mapping[str, float | None]
) -> str:
    if loss is not None and not isinstance(loss, str):
        raise TypeError(f"loss must be a string, got {loss!r}")
    if loss == "cross_entropy" and n_outputs == 1:
        raise ValueError("n_outputs must be at least 2 for cross_entropy, got 1")
    possible = [name for name in source._entries(n_outputs) if name in target._entries(n_outputs)]
    if not possible:
        theirs, ours = (" or ".join(knob.losses or ["any"]) for knob in (source, target))
        raise ValueError(
            f"no conversion from source {source.name} to target {target.name} with n_outputs={n_outputs}: "
            f"they minimize different losses, {theirs} and {ours}"
        )
    if loss is None:
        rates = [[_rate(knob, name, n_outputs, quantities) for knob in (source, target)] for name in possible]
        if not all(math.isclose(rates[0][0] * ours, theirs * rates[0][1]) for theirs, ours in rates):
            raise ValueError(f"loss is needed, one of {', '.join(possible)}")
        return possible[0]
    if loss not in possible:
        raise ValueError(f"loss must be one of {', '.join(possible)} here, got {loss!r}")
    return loss
