# SPDX-License-Identifier: Apache-2.0
"""SVG from Python: attributes and texts are escaped as elements are made."""

from __future__ import annotations

from markupsafe import Markup, escape


def drawing(width: float, height: float, label: str, /, *content: Markup, **style: str) -> Markup:
    """A whole SVG; it grows with its page unless `style` gives a width.

    Args:
        width: in the units of its elements.
        height: in the same units.
        label: says what it shows to those who do not see it.
        content: its elements.
        style: attributes of the whole, such as the font.
    """
    return element(
        "svg",
        *content,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_value(width)} {_value(height)}",
        role="img",
        aria_label=label,
        **style,
    )


def element(name: str, *content: str, **attributes: float | str) -> Markup:
    """One element.

    Args:
        name: of the element.
        content: other elements as `Markup`, and texts, which are escaped.
        attributes: numbers are written with at most one decimal; `text_anchor` becomes `text-anchor`, and `class_`
            becomes `class`.
    """
    said = Markup().join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _value(value))
        for key, value in attributes.items()
    )
    inner = Markup().join(escape(each) for each in content)
    return Markup("<{0}{1}>{2}</{0}>").format(name, said, inner)


def _value(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")
