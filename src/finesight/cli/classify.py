# SPDX-License-Identifier: Apache-2.0
"""`finesight classify`: kinds of pages, and packets of pages split into documents."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finesight.cli import options
from finesight.cli.command import command
from finesight.cli.model_choice import ModelChoice
from finesight.cli.output import check_report, print_json
from finesight.cli.read import Files, Pages
from finesight.errors import AppError, ConfigError

if TYPE_CHECKING:
    from finesight.apps.classify.records import PacketResult

Labels = Annotated[
    list[str],
    typer.Option(
        "--label",
        help="A kind of document, or KIND=DESCRIPTION. Give at least two.",
        metavar="KIND",
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        min=0, max=1, help="Share of the best kind below which a page is other; 0.5 by default."
    ),
]
Examples = Annotated[
    Path | None,
    typer.Option(
        help="CSV file with the columns path and label: at least 20 pages, some of them other, that the threshold is "
        "fitted on.",
        metavar="FILE",
    ),
]


@command
def classify(
    files: Files,
    *,
    labels: Labels,
    pages: Pages = None,
    threshold: Threshold = None,
    examples: Examples = None,
    model: ModelChoice,
    as_json: options.AsJson = False,
    report: options.Report = None,
    min_pixels: options.MinPixels = None,
    max_pixels: options.MaxPixels = None,
) -> None:
    """Say of which kind pages are, and split packets into documents.

    Prints one line per document: file, pages, kind and its share. A page of none of the kinds is other. Every file is
    a packet of its own. The exit code is 1 if a page could not be asked about.
    """
    _check(report, examples, threshold)
    from finesight.apps.classify.classify import ClassifyOptions
    from finesight.apps.classify.files import classify_files, read_examples, threshold_from
    from finesight.apps.document.pages import find_pages

    kinds = {name.strip(): text.strip() for name, _, text in (one.partition("=") for one in labels)}
    asked = ClassifyOptions(
        labels=kinds,
        threshold=0.5 if threshold is None else threshold,
        min_pixels=min_pixels,
        max_pixels=max_pixels,
    )
    asked.check()
    known = read_examples(examples) if examples is not None else []
    addresses = find_pages(files, pages)
    scorer = model.opened()
    if known:
        fitted, num_wrong = threshold_from(known, scorer, asked)
        asked = replace(asked, threshold=fitted)
        sys.stderr.write(
            f"the threshold that fits {len(known)} examples best is {fitted:.3f}; "
            f"with it, {num_wrong} of them are wrong\n"
        )
    packet = classify_files(addresses, scorer, asked, name=model.name)
    if report is not None:
        from finesight.apps.classify.report import write_classify_report

        write_classify_report(report, packet, addresses)
        sys.stderr.write(f"wrote {report}\n")
    _show(packet, as_json=as_json)


def _check(report: Path | None, examples: Path | None, threshold: float | None) -> None:
    """Refuse what cannot be written or contradicts itself, before a model is opened."""
    if report is not None:
        check_report(report)
    if examples is not None and threshold is not None:
        raise ConfigError(
            "--threshold and --examples are both given",
            hint="the examples set the threshold; leave one of them out",
        )


def _show(packet: PacketResult, *, as_json: bool) -> None:
    """Print the documents; raise if a page could not be asked about."""
    from finesight.apps.classify.report import pages_text

    if as_json:
        print_json(packet.to_dict())
    else:
        pages = {page.number: page for page in packet.pages}
        for one in packet.documents:
            share = "" if one.score.value is None else f"{one.score.value:.3f}"
            is_unread = all(pages[at].kind.status == "unread" for at in one.pages)
            label = "unread" if is_unread else one.label
            line = (pages[one.pages[0]].source, pages_text(one, pages), label, share)
            sys.stdout.write("\t".join(line) + "\n")
    unread = [page for page in packet.pages if page.kind.status == "unread"]
    if unread:
        first = unread[0]
        raise AppError(
            f"{len(unread)} of {len(packet.pages)} pages could not be asked about; page {first.number}: "
            f"{'; '.join(first.kind.problems)}",
            hint="the other pages are classified",
        )
