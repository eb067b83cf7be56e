# SPDX-License-Identifier: Apache-2.0
"""`finesight review`: a file of rules applied to a contract, and the differences of two versions."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finesight.cli import options
from finesight.cli.command import command
from finesight.cli.errors import CHECK_FAILED
from finesight.cli.model_choice import DraftingModel
from finesight.cli.output import check_report, check_writable, print_json
from finesight.cli.read import RouteChoice, RouteOption
from finesight.errors import ConfigError

if TYPE_CHECKING:
    from finesight.apps.review.records import ClauseChange, Review

Contract = Annotated[
    Path, typer.Argument(help="PDF or picture file, or a folder of pages.", metavar="FILE")
]
Rules = Annotated[Path | None, typer.Option(help="TOML file with the rules.", metavar="FILE")]
Against = Annotated[
    Path | None,
    typer.Option(
        help="Earlier version; its clauses are compared with those of FILE.", metavar="FILE"
    ),
]
Annotated_ = Annotated[
    Path | None,
    typer.Option(
        "--annotated", help="PDF to write, with a highlight over every quote.", metavar="FILE"
    ),
]
Pages = Annotated[
    str | None,
    typer.Option(
        help="Pages to read, from 1: 1-3,7 or 5-. With a page left out, no clause is called missing.",
        metavar="PAGES",
    ),
]


@command
def review(
    file: Contract,
    *,
    rules: Rules = None,
    against: Against = None,
    annotated: Annotated_ = None,
    pages: Pages = None,
    route: RouteOption = RouteChoice.AUTO,
    model: DraftingModel,
    as_json: options.AsJson = False,
    report: options.Report = None,
    sarif: options.Sarif = None,
    min_pixels: options.MinPixels = None,
    max_pixels: options.MaxPixels = None,
    max_new_tokens: options.MaxNewTokens = 2048,
) -> None:
    """Review a contract: pass, fail, missing or unclear for each rule, with quotes and their places.

    Prints one line per rule, and one per clause that differs from the earlier version. A clause is missing only if
    every page was read. The exit code is 3 if a rule whose severity is error does not pass. This is no legal advice.
    """
    _check(rules, against, annotated, report, sarif)
    from finesight.api.reviewing import review_with
    from finesight.apps.extract.ask import ExtractOptions
    from finesight.apps.review.rules import Playbook, load_rules

    playbook = Playbook("", ()) if rules is None else load_rules(rules)
    found = review_with(
        file,
        playbook,
        model.opened(),
        name=model.name,
        against=against,
        pages=pages,
        route=route.value,
        options=ExtractOptions(
            max_new_tokens=max_new_tokens or 2048,
            min_pixels=min_pixels,
            max_pixels=max_pixels,
        ),
        annotated=annotated,
        report=report,
        sarif=sarif,
    )
    for path in (annotated, report, sarif):
        if path is not None:
            sys.stderr.write(f"wrote {path}\n")
    _show(found, as_json=as_json)


def _check(
    rules: Path | None,
    against: Path | None,
    annotated: Path | None,
    report: Path | None,
    sarif: Path | None,
) -> None:
    if rules is None and against is None:
        raise ConfigError(
            "neither --rules nor --against is given",
            hint="give a file of rules, or an earlier version",
        )
    if rules is None and annotated is not None:
        raise ConfigError("--annotated highlights the quotes of rules, but no --rules are given")
    if annotated is not None:
        if annotated.suffix.lower() != ".pdf":
            raise ConfigError(
                f"{annotated} is no PDF file name", hint="give a name that ends in .pdf"
            )
        check_writable(annotated, is_folder=False)
    if report is not None:
        check_report(report)
    if sarif is not None:
        check_writable(sarif, is_folder=False)


def _show(found: Review, *, as_json: bool) -> None:
    """Print the results; exit with `CHECK_FAILED` if a rule does not hold."""
    if as_json:
        print_json(found.to_dict())
    else:
        for one in found.results:
            sys.stdout.write(f"{one.verdict}\t{one.rule.id}\t{one.reason}\n")
        for change in found.changes or ():
            sys.stdout.write("\t".join(_change(change)) + "\n")
    if found.changes == ():
        sys.stderr.write("no clause differs\n")
    for skipped in found.coverage.skipped:
        sys.stderr.write(f"not read: {skipped.what}: {skipped.reason}\n")
    for problem in found.problems:
        sys.stderr.write(f"{problem}\n")
    if not found.holds:
        raise typer.Exit(CHECK_FAILED)


def _change(change: ClauseChange) -> tuple[str, ...]:
    signs = {"kept": "{}", "removed": "[-{}-]", "added": "{{+{}+}}"}
    text = " ".join(signs[kind].format(words) for kind, words in change.words)
    numbers = " -> ".join(
        dict.fromkeys(one for one in (change.old_number, change.new_number) if one)
    )
    return change.kind, numbers, text
