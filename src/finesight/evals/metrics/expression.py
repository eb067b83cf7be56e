# SPDX-License-Identifier: Apache-2.0
r"""Evaluate short formulas in LaTeX or plain text by arithmetic alone.

Answers of models are untrusted: "9^9^9^9" would make an algebra system run for hours, and `eval` runs any code. Here
the set of tokens is fixed, powers are limited, and text beyond `MAX_LENGTH` characters or `MAX_DEPTH` brackets has no
value, so that evaluation takes a millisecond or two at most.

Tokens: digits with thousands commas, `+ - * / ^ ! %`, `: ÷ × ·`, `\times \cdot \div`, `\frac`, `\sqrt` with
or without a degree, `\pi`, round and curly brackets, `\sin \cos \tan \ln \log`. Adjacent factors are multiplied; a
whole number before a fraction of plain numbers is a mixed number.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import TypeAlias

Number: TypeAlias = Fraction | float
MAX_LENGTH = 200
MAX_DEPTH = 24

_TOKEN = re.compile(
    r"\s*+(?:(?P<number>\d{1,3}(?:,\d{3})++(?!\d)(?:\.\d*+)?|\d++(?:\.\d*+)?|\.\d++)"
    r"|(?P<command>\\[A-Za-z]++)|(?P<sign>[-+*/^!%(){}\[\]:]|[A-Za-zα-ωΑ-Ω]))"
)
_SPELLINGS = (
    *(("÷", "/"), ("×", "*"), ("·", "*"), ("−", "-"), ("\\times", "*"), ("\\cdot", "*")),
    *(("\\div", "/"), ("\\dfrac", "\\frac"), ("\\tfrac", "\\frac"), ("\\left", "")),
    *(("\\right", ""), ("\\,", " "), ("\\ ", " "), ("$", ""), ("**", "^")),
    *(("\\displaystyle", " "), ("\\qquad", " "), ("\\quad", " "), ("~", " ")),
)
_PLAIN_FRACTION = re.compile(r"\\frac(?:\d\d|\{\d+\}\{\d+\})")
_PREFIX_ENDS = (")", "}", "]", ".")
_MOST_BITS = 1 << 14
_LEAST_INEXACT = 2**53
"""Larger whole numbers are returned as int, because a float is not exact."""
_FUNCTIONS: Mapping[str, Callable[[float], float]] = {
    "\\sin": math.sin,
    "\\cos": math.cos,
    "\\tan": math.tan,
    "\\ln": math.log,
    "\\log": math.log10,
}


class _NoValue(Exception):
    """The text has no value; raised within this module only."""


def evaluate(
    text: str,
    *,
    symbols: Mapping[str, float] | None = None,
    rational_only: bool = False,
    takes_prefix: bool = False,
) -> float | None:
    """The value of a formula; None if it has none.

    Args:
        text: the formula and nothing else; "12 cm" has no value.
        symbols: values of single letters; other letters have no value.
        rational_only: roots, pi and functions have no value.
        takes_prefix: ignore everything from a full stop or an unopened bracket on, after a complete formula, as
            the parser of latex2sympy does: "1/4}. So it is" is 1/4, "1/4 + }" and "1/4 cm" have no value.
    """
    if len(text) > MAX_LENGTH:
        return None
    for spelling, sign in _SPELLINGS:
        text = text.replace(spelling, sign)
    try:
        tokens = _tokens(text, takes_prefix=takes_prefix)
        number = _Reader(tokens, symbols or {}, rational_only).read(takes_prefix)
        value = float(number)
    except (_NoValue, ArithmeticError, ValueError):
        return None
    if isinstance(number, Fraction) and number.denominator == 1 and abs(value) >= _LEAST_INEXACT:
        return int(number)
    return value if math.isfinite(value) else None


def _tokens(text: str, *, takes_prefix: bool) -> list[str]:
    """Numbers without commas, commands and single signs.

    With `takes_prefix` the last token is the first character that is not a token.
    """
    tokens: list[str] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            if takes_prefix:
                return [*tokens, text[at:].lstrip()[0]]
            raise _NoValue(text[at])
        if takes_prefix and (match["number"] or "").endswith("."):
            return [*tokens, match["number"].rstrip(".").replace(",", ""), "."]
        number = match["number"]
        tokens.append(number.replace(",", "") if number else match["command"] or match["sign"])
        at = match.end()
    return tokens


class _Reader:
    """Recursive-descent evaluator; each method handles one level of precedence."""

    def __init__(
        self, tokens: list[str], symbols: Mapping[str, float], rational_only: bool
    ) -> None:
        self.tokens, self.symbols, self.rational_only = tokens, symbols, rational_only
        self.at = self.depth = 0

    def read(self, takes_prefix: bool) -> Number:
        value = self._sum()
        if self._peek() and not (takes_prefix and self._peek() in _PREFIX_ENDS):
            raise _NoValue(self.tokens[self.at])
        return value

    def _peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def _take(self, *wanted: str) -> str:
        token = self._peek()
        if not token or (wanted and token not in wanted):
            raise _NoValue(token)
        self.at += 1
        return token

    def _sum(self) -> Number:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _NoValue("nested too deep")
        value = self._product()
        while self._peek() in ("+", "-"):
            sign = self._take()
            other = self._product()
            value = value + other if sign == "+" else value - other
        self.depth -= 1
        return value

    def _product(self) -> Number:
        value = self._signed()
        while token := self._peek():
            if token in ("*", "/", ":"):
                self._take()
                other = self._signed()
                value = value * other if token == "*" else value / other
            elif token in ("+", "-", *_PREFIX_ENDS):
                break
            else:
                value *= self._power()
        return value

    def _is_mixed(self) -> bool:
        """Whether a fraction of plain numbers follows the whole number just read, as in 8 1/2."""
        parts = "".join(self.tokens[self.at : self.at + 7])
        return self.tokens[self.at - 1].isdigit() and _PLAIN_FRACTION.match(parts) is not None

    def _signed(self) -> Number:
        is_negative = False
        while self._peek() in ("+", "-"):
            is_negative ^= self._take() == "-"
        value = self._power()
        return -value if is_negative else value

    def _power(self) -> Number:
        value = self._postfix(self._atom())
        if self._peek() != "^":
            return value
        self._take()
        negative = self._peek() == "-" and self._take() == "-"
        exponent = self._power()
        return self._postfix(self._raised(value, -exponent if negative else exponent))

    def _raised(self, base: Number, exponent: Number) -> Number:
        """A power; exact for a rational base and a whole exponent."""
        if isinstance(base, Fraction) and exponent == int(exponent):
            bits = max(base.numerator.bit_length(), base.denominator.bit_length())
            steps = int(exponent)
            if bits * abs(steps) > _MOST_BITS:
                raise _NoValue("^")
            return base**steps
        if self.rational_only or base < 0:
            raise _NoValue("^")
        return math.pow(base, exponent)

    def _postfix(self, value: Number) -> Number:
        while self._peek() in ("!", "%"):
            if self._take() == "%":
                value /= 100
            elif 0 <= value <= 100 and value == int(value):
                value = Fraction(math.factorial(int(value)))
            else:
                raise _NoValue("!")
        return value

    def _atom(self) -> Number:
        token = self._take()
        if token[0].isdigit() or token[0] == ".":
            return Fraction(token) + (self._atom() if self._is_mixed() else 0)
        if token in ("(", "{"):
            value = self._sum()
            self._take(")" if token == "(" else "}")
            return value
        if token == "\\frac":
            top = self._argument()
            return top / self._argument()
        if token in self.symbols:
            return self.symbols[token]
        return self._irrational(token)

    def _irrational(self, token: str) -> Number:
        if self.rational_only:
            raise _NoValue(token)
        if token == "\\pi":
            return math.pi
        if token == "\\sqrt":
            degree: Number = Fraction(2)
            if self._peek() == "[":
                self._take()
                degree = self._sum()
                self._take("]")
            inside = float(self._argument())
            if inside < 0:
                raise _NoValue(token)
            return math.pow(inside, 1 / float(degree))
        if token in _FUNCTIONS:
            return _FUNCTIONS[token](float(self._power()))
        raise _NoValue(token)

    def _argument(self) -> Number:
        """Argument of a command: a group in brackets, or one digit of the following number."""
        token = self._peek()
        if token[:1].isdigit() and len(token) > 1:
            self.tokens[self.at : self.at + 1] = [token[0], token[1:]]
        return self._atom()
