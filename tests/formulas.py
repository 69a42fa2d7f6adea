"""Formulas in LaTeX, read as what they say of numbers: one row, one column, one parameter."""

import re

import numpy as np
import sympy
from sympy.parsing.sympy_parser import (
    implicit_application,
    implicit_multiplication,
    parse_expr,
    standard_transformations,
)

# Of a number a norm is the absolute value, a sum the only term, and a direction of SGD the gradient itself.
OF_NUMBERS = {
    r"\\(?:left|right|[bB]igg?[lr]?)(?![a-z])|\\[,;! ]|\\q?quad": " ",
    r"\^\\top|\\mathbf 1|\\sum_\w|\\cdot|\\hat": " ",
    r"\\\|_1|\\\||\\[lr]Vert": "|",
    r"_(?:[ipt]|\{(?:ij|ji)\})(?![A-Za-z])": "",
    r"_\{t\+1\}": "_n",  # the next one
    r"_\{t-1\}": "_o",  # the one before
    r"\^\{?\*\}?": "_s",  # where it rests
    r"\\t?frac(\d)(\d)": r"\\frac{\1}{\2}",
    r"\\t?frac(\d)(\\?[a-z]+)": r"\\frac{\1}{\2}",
    r"\\tfrac\{": r"\\frac{",
    r"\b[dD]\(": "(",
    r"\\operatorname\{([a-z]+)\d?\}(?:_\{[^{}]*\})?": r"\\\1",
    r"\\ln\b": r"\\log ",
    r"\be\^(?=\{)": r"\\exp",
}
BRACES = {
    r"\\frac\{([^{}]*)\}\{([^{}]*)\}": r"((\1)/(\2))",
    r"(\\sqrt|\\exp)\{([^{}]*)\}": r"\1(\2)",
    r"\^\{([^{}]*)\}": r"^(\1)",
}
ALIGNED = re.compile(r"\\(?:begin|end)\{aligned\}|\\\\(?=\s*&)|&")
CASES = re.compile(r"(\w+) = \\begin\{cases\}(.*?)\\end\{cases\}", re.DOTALL)
TOKEN = re.compile(r"\\?[A-Za-z]+(?:_\w)?|\d+\.?\d*|[-+/^(),]|\S+")
SHRINK = sympy.Symbol("eta") * sympy.Symbol("lambda_")
FUNCTIONS = {
    "atan": lambda y, x: sympy.atan2(y, x) * 180 / sympy.pi,
    "exp": sympy.exp,
    "log": sympy.log,
    "max": sympy.Max,
    "min": sympy.Min,
    "prox": lambda z: z - sympy.Min(sympy.Max(z, -SHRINK), SHRINK),
    "sigma": lambda z: 1 / (1 + sympy.exp(-z)),
    "sign": sympy.sign,
    "sin": sympy.sin,
    "size": sympy.Abs,
    "sqrt": sympy.sqrt,
}


class Values(dict):
    """A number for every name, drawn when it is asked for; one row, and one output."""

    def __init__(self, seed):
        super().__init__(n=1.0, k=1.0, N=1.0, I=1.0)
        self.generator = np.random.default_rng(seed)

    def __missing__(self, name):
        self[name] = self.generator.uniform(0.2, 0.9)
        return self[name]


def statements(text):
    """Return for each statement of a formula its sides: what is defined, if it has a name, and what it is.

    Statements in words are left out.
    """
    text = CASES.sub(
        lambda match: " ".join(f"{match[1]} = {case} \\qquad" for case in _cases(match[2])), text
    )
    text = ALIGNED.sub(" ", text)
    parts = re.split(r"\\qquad|\\quad\s*\\text\{and\}|\\quad\s*(?=\()|\\in\b", text)
    parts = [part.strip(" .,\n") for part in parts if not re.search(r"\\text|°", part)]
    return [re.split(r"(?:\s|\\;)*(?:\\leftarrow|=)(?:\s|\\;)*", part) for part in parts if part]


def expression(side):
    """Return what a side of a formula says of numbers, as an expression of SymPy."""
    for pattern, instead in OF_NUMBERS.items():
        side = re.sub(pattern, instead, side)
    while "{" in side:
        before = side
        for pattern, instead in BRACES.items():
            side = re.sub(pattern, instead, side)
        if side == before:
            raise ValueError(f"a formula that is not of numbers: {side}")
    side = re.sub(r"\|([^|]*)\|", r"\\size(\1)", side)
    words = [word for token in TOKEN.findall(side) for word in _words(token)]
    names = {word: sympy.Symbol(word) for word in words if word[0].isalpha() and word not in FUNCTIONS}
    names |= {"pi": sympy.pi}
    rules = (*standard_transformations, implicit_multiplication, implicit_application)
    return parse_expr(" ".join(words), local_dict=names | FUNCTIONS, transformations=rules)


def value(side, values):
    """Return a side of a formula where each of its names stands for a number."""
    found = expression(side)
    return float(found.subs({symbol: values[symbol.name] for symbol in found.free_symbols}))


def _cases(text):
    return [line.partition("&")[0] for line in text.split(r"\\")]


def _words(token):
    if token == "^":
        return ["**"]
    if token.startswith("\\"):
        return [{"lambda": "lambda_"}.get(token[1:], token[1:])]
    return re.findall(r"[A-Za-z](?:_\w)?", token) if token[0].isalpha() else [token]
