# SPDX-License-Identifier: Apache-2.0
"""`finesight doctor`: report on the machine, and compare a model with transformers."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from finesight.cli import options
from finesight.cli.command import command
from finesight.cli.errors import FAILED
from finesight.cli.output import print_json

if TYPE_CHECKING:
    from finesight.doctor.check import CaseResult
    from finesight.doctor.machine import Finding

SIGNS = {"ok": "ok  ", "missing": "MISS", "slow": "slow", "note": "-   "}


@command
def doctor(
    *,
    model: Annotated[
        str | None,
        typer.Option(
            help="Compare this model with transformers: tiny, a folder, or a name; small cannot be compared,"
            " because transformers does not know its raster positions. Of a folder of packed weights,"
            " checksum, shapes and some layers are checked."
        ),
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(
            help="With --model, dtype of both networks: float32, bfloat16 or float16.",
            show_default="float32",
        ),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Report what this machine supports and what is missing; with --model, check a model.

    The check compares the model with transformers layer by layer, on pictures of odd sizes, several
    pictures and a video, packed and batched. It names the first layer that differs.
    """
    _check_options(model, dtype)
    findings = _inspect_machine()
    if not as_json:
        _print_findings(findings)
    report: dict[str, Any] = {"machine": [asdict(finding) for finding in findings]}
    is_verified = True
    if model is not None:
        report["model"] = _check_model(model, dtype or "float32", quiet=as_json)
        is_verified = report["model"]["is_right"] and "not_compared" not in report["model"]
    if as_json:
        print_json(report)
    if not is_verified:
        raise typer.Exit(FAILED)


def _check_options(model: str | None, dtype: str | None) -> None:
    """Raise `ConfigError` for an option without effect, a dtype without a tolerance, or a missing model."""
    from finesight.api.checkpoints import find_checkpoint
    from finesight.checkpoints.packed import is_packed_folder
    from finesight.doctor.check import TOLERANCE
    from finesight.errors import ConfigError

    if model is None and dtype is not None:
        raise ConfigError(
            f"--dtype {dtype} has no effect without --model",
            hint="name the model to check, for example --model tiny",
        )
    known = [str(entry).removeprefix("torch.") for entry in TOLERANCE]
    if dtype is not None and dtype not in known:
        raise ConfigError(f"dtype is {dtype!r}", hint=f"it is one of {', '.join(known)}")
    if model is not None and is_packed_folder(find_checkpoint(model)) and dtype is not None:
        raise ConfigError(
            f"dtype {dtype} has no effect on the packed weights in {model}", hint="leave dtype out"
        )


def _inspect_machine() -> list[Finding]:
    from finesight.api.checkpoints import EMBEDDED, find_checkpoint
    from finesight.doctor.machine import machine_report
    from finesight.errors import MissingWeights

    try:
        embedded: Path | None = find_checkpoint(EMBEDDED)
    except MissingWeights:
        embedded = None
    return machine_report(embedded, wait_policy=os.environ.get("OMP_WAIT_POLICY"))


def _print_findings(findings: Sequence[Finding]) -> None:
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        sys.stdout.write(f"{SIGNS[finding.status]}  {finding.name:<{width}}  {finding.value}\n")
        if finding.hint:
            sys.stdout.write(f"      {'':<{width}}  {finding.hint}\n")
    sys.stdout.flush()


def _check_model(name: str, dtype: str, *, quiet: bool) -> dict[str, Any]:
    """Compare a model with transformers; prints a line per case unless quiet."""
    from finesight.api import load
    from finesight.api.checkpoints import find_checkpoint
    from finesight.checkpoints.packed import is_packed_folder
    from finesight.doctor import check, reference

    def show(line: str) -> None:
        if not quiet:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()

    if is_packed_folder(find_checkpoint(name)):
        return _check_packed(name, show)
    model = load(name, device="cpu", dtype=dtype)
    network = model.network
    broken = check.broken_weights(network)
    count = network.num_parameters()
    show(f"\n{name}: {count:,} parameters, " + (f"NaN in {broken[0]}" if broken else "all finite"))
    outcome: dict[str, Any] = {"name": name, "parameters": count, "broken_weights": broken}
    reason = reference.missing_reference(model.processor.model_config.quantisation)
    if reason:
        show(f"not compared: {reason}")
        return outcome | {"is_right": not broken, "not_compared": reason, "cases": []}
    show("loading the same checkpoint with transformers ...")
    theirs = reference.load_reference(find_checkpoint(name), network.dtype)
    cases = []
    for case in check.compare(network, model.processor, theirs):
        show(_case_line(case))
        cases.append(case)
    show(_summary(cases))
    is_right = not broken and all(case.first_difference is None for case in cases)
    return outcome | {"is_right": is_right, "cases": [_case_json(case) for case in cases]}


def _check_packed(name: str, show: Callable[[str], None]) -> dict[str, Any]:
    """Check a folder of packed weights; a damaged one is an error."""
    from finesight.api import load
    from finesight.api.checkpoints import find_checkpoint
    from finesight.checkpoints.packed import read_receipt
    from finesight.doctor.check import broken_weights
    from finesight.doctor.packed import check_packed

    network = load(name, device="cpu").network
    receipt = read_receipt(find_checkpoint(name))
    broken = broken_weights(network)
    show(
        f"\n{name}: {receipt.size_bytes:,} bytes, language model in {receipt.weights}; checksum and shapes are right"
        + (f"; NaN in {broken[0]}" if broken else "")
    )
    cases = []
    for case in check_packed(network):
        sign = "ok  " if case.is_right else "DIFF"
        show(f"{sign}  {case.name:<36} {case.format:<9} relative difference {case.difference:.1e}")
        cases.append(case)
    wrong = [case for case in cases if not case.is_right]
    show(
        f"{len(wrong)} of {len(cases)} layers differ; the first one is {wrong[0].name}"
        if wrong
        else "the sampled layers equal the products with their unpacked weights, but for rounding"
    )
    return {
        "name": name,
        "weights": receipt.weights,
        "broken_weights": broken,
        "is_right": not broken and not wrong,
        "cases": [asdict(case) for case in cases],
    }


def _case_line(case: CaseResult) -> str:
    first = case.first_difference
    sign = "ok  " if first is None else "DIFF"
    detail = f"largest difference {case.largest:.1e}"
    if first is not None:
        detail = f"first differs at {first}: {case.differences[first]:.1e}"
    return f"{sign}  {case.name:<24} {case.tokens:>6} tokens  {detail}"


def _summary(cases: Sequence[CaseResult]) -> str:
    wrong = [case for case in cases if case.first_difference is not None]
    if not wrong:
        return f"every layer equals transformers' within {cases[0].tolerance:g}"
    first = wrong[0].first_difference
    return f"{len(wrong)} of {len(cases)} cases differ; the first layer that differs is {first}"


def _case_json(case: CaseResult) -> dict[str, Any]:
    return {
        "name": case.name,
        "tokens": case.tokens,
        "tolerance": case.tolerance,
        "first_difference": case.first_difference,
        "differences": dict(case.differences),
    }
