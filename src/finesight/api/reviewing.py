# SPDX-License-Identifier: Apache-2.0
"""`finesight.review`: rules applied to a contract, and the differences of two versions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from finesight.api.documents import read
from finesight.api.shared import responder_and_name
from finesight.apps.document.pages import find_pages
from finesight.apps.document.records import Route
from finesight.apps.extract.ask import ExtractOptions
from finesight.apps.page_images import page_loader, with_images
from finesight.apps.review.alerts import write_review_sarif
from finesight.apps.review.annotate import write_annotated_pdf
from finesight.apps.review.records import Review
from finesight.apps.review.report import write_review_report
from finesight.apps.review.review import review as review_pages
from finesight.apps.review.rules import Playbook, Rule, load_rules
from finesight.apps.review.versions import compare_versions
from finesight.errors import ConfigError
from finesight.responder import Responder


def review(
    file: str | Path,
    rules: str | Path | Playbook | Sequence[Rule] = (),
    *,
    model: str | Path | Responder = "tiny",
    against: str | Path | None = None,
    pages: str | None = None,
    route: Route | Literal["auto"] = "auto",
    options: ExtractOptions | None = None,
    annotated: str | Path | None = None,
    report: str | Path | None = None,
    sarif: str | Path | None = None,
) -> Review:
    """Review one document.

    Args:
        file: PDF or picture file, or a folder of pages.
        rules: TOML file with rules, or the rules themselves.
        model: name of a model, which is loaded on first use and cached, or what answers questions.
        against: earlier version, whose clauses are compared.
        pages: pages to read, from 1; with a page left out, no clause is called missing.
        route: how a page is read, as in `finesight.read`.
        options: how quotes are asked for.
        annotated: PDF to write, with a highlight over every quote.
        report: HTML file to write.
        sarif: SARIF 2.1.0 file to write with the rules that do not pass.

    Returns:
        One result per rule, each quote with its place, and the differences of the versions.

    Raises:
        ConfigError: a rule or an option is wrong, or there is nothing to do.
        MediaError: a file cannot be opened.
        AppError: an optional library is not installed, or an output cannot be written.
    """
    if isinstance(rules, (str, Path)):
        playbook = load_rules(Path(rules))
    else:
        playbook = rules if isinstance(rules, Playbook) else Playbook("rules", tuple(rules))
    responder, name = responder_and_name(model)
    return review_with(
        Path(file),
        playbook,
        responder,
        name=name,
        against=None if against is None else Path(against),
        pages=pages,
        route=route,
        options=options or ExtractOptions(),
        annotated=None if annotated is None else Path(annotated),
        report=None if report is None else Path(report),
        sarif=None if sarif is None else Path(sarif),
    )


def review_with(
    file: Path,
    playbook: Playbook,
    responder: Responder,
    *,
    name: str,
    against: Path | None,
    pages: str | None,
    route: Route | Literal["auto"],
    options: ExtractOptions,
    annotated: Path | None,
    report: Path | None,
    sarif: Path | None,
) -> Review:
    """Review with an open model; arguments as in `review`."""
    if not playbook.rules and against is None:
        raise ConfigError(
            "there are no rules and no other version", hint="give rules, or against=FILE, or both"
        )
    addresses = find_pages([file], pages)
    document = read(file, model=responder, pages=pages, route=route)
    changes = None
    if against is not None:
        earlier = read(against, model=responder, route=route)
        changes = compare_versions(earlier.pages, document.pages)
    found = review_pages(
        document.pages,
        with_images(document.pages, addresses),
        playbook,
        responder,
        options,
        total=len(find_pages([file])),
        changes=changes,
        model=name,
    )
    if annotated is not None:
        write_annotated_pdf(annotated, found, document.pages, addresses)
    if report is not None:
        write_review_report(report, file.name, found, document.pages, page_loader(addresses))
    if sarif is not None:
        write_review_sarif(sarif, str(file), found)
    return found
