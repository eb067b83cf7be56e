# SPDX-License-Identifier: Apache-2.0
"""Approval of the agent's steps and answers to its questions at the terminal."""

from __future__ import annotations

import select
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from finesight.errors import ActionRefused

if TYPE_CHECKING:
    from finesight.apps.agent.gate import Answer, Approver, Proposal


def terminal(seconds: float, folder: Path | None) -> Approver:
    """An approver that asks at the terminal; no answer in time, or no terminal, is a refusal.

    Args:
        seconds: time to answer.
        folder: where the screen with the step drawn on it is written; None writes none.
    """

    def decide(proposal: Proposal) -> Answer:
        from finesight.apps.agent.approval import proposed_in_words

        sys.stderr.write(
            f"\nThe agent wants to {proposed_in_words(proposal)}\n  at {proposal.place or 'this screen'}\n"
            f"  why this needs approval: {proposal.risk.reason}\n"
        )
        if folder is not None:
            sys.stderr.write(f"  see {_drawn(proposal, folder)}\n")
        sys.stderr.write(f"Allow? [y]es, [a]ll of this kind here, [N]o ({seconds:.0f} s): ")
        sys.stderr.flush()
        answer = _line(seconds)
        if answer is None:
            sys.stderr.write("no answer: refused\n")
            raise ActionRefused(f"no answer came within {seconds:g} s, or there is no terminal")
        letter = answer.strip().lower()[:1]
        return "allow" if letter == "y" else "allow_kind" if letter == "a" else "refuse"

    return decide


def ask_user(question: str) -> str:
    """Ask the user a question of the model; an empty answer if none comes."""
    sys.stderr.write(f"\nThe agent asks: {question}\n> ")
    sys.stderr.flush()
    return (_line(300.0) or "").strip()


def _line(seconds: float) -> str | None:
    """A line of the terminal; None after the time limit or if there is no terminal."""
    if not sys.stdin.isatty():
        return None
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    return sys.stdin.readline() if ready else None


def _drawn(proposal: Proposal, folder: Path) -> Path:
    from finesight.apps.agent.report import drawn
    from finesight.present.overlay import save_png

    path = folder / "proposal.png"
    save_png(drawn(proposal.picture, proposal.act.as_json(), None), path)
    return path
