# SPDX-License-Identifier: Apache-2.0
"""Containers of components as HTML; their classes are in `layout.css`."""

from __future__ import annotations

__all__ = ["block", "column", "grid", "grow", "row"]


def block(*drawn: str, shape: str = "", css: str = "") -> str:
    """Parts below each other."""
    style = f' style="{css}"' if css else ""
    return f'<div class="{shape}"{style}>{"".join(drawn)}</div>'


def row(*drawn: str, shape: str = "", css: str = "") -> str:
    """Parts beside each other."""
    return block(*drawn, shape=f"x-row {shape}".strip(), css=css)


def column(*drawn: str, shape: str = "", css: str = "") -> str:
    """Parts below each other with gaps."""
    return block(*drawn, shape=f"x-col {shape}".strip(), css=css)


def grow(*drawn: str, css: str = "") -> str:
    """A part that takes the space that the others leave."""
    return block(*drawn, shape="x-grow", css=css)


def grid(columns: int, *drawn: str, shape: str = "", css: str = "align-items: start") -> str:
    """Parts in columns of equal width."""
    widths = f"grid-template-columns: repeat({columns}, minmax(0, 1fr))"
    return block(*drawn, shape=f"x-grid {shape}".strip(), css=f"{widths}; {css}")
