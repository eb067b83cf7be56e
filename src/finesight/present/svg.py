# SPDX-License-Identifier: Apache-2.0
"""Build SVG elements with escaped attributes and texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from markupsafe import Markup, escape

Attributes = Mapping[str, object]
"""Attributes of an element: texts and numbers by name."""


def drawing(
    size: tuple[float, float], label: str, content: Iterable[Markup], style: Attributes
) -> Markup:
    """A complete SVG; it scales with its page unless `style` gives a width.

    Args:
        size: width and height in the units of its elements.
        label: accessible description (`aria-label`).
        content: its elements.
        style: attributes of the `svg` element, such as the font.
    """
    head = {
        "xmlns": "http://www.w3.org/2000/svg",
        "viewBox": f"0 0 {_value(size[0])} {_value(size[1])}",
        "role": "img",
        "aria-label": label,
    }
    return element("svg", {**head, **style}, *content)


def element(name: str, attributes: Attributes, *content: str) -> Markup:
    """One element.

    Args:
        name: tag name.
        attributes: attributes; numbers are written with at most one decimal.
        content: elements as `Markup`, and texts, which are escaped.
    """
    written = Markup().join(
        Markup(' {}="{}"').format(key, _value(value)) for key, value in attributes.items()
    )
    inner = Markup().join(escape(each) for each in content)
    return Markup("<{0}{1}>{2}</{0}>").format(name, written, inner)


def _value(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, (int, float)) else str(value)
