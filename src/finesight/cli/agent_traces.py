# SPDX-License-Identifier: Apache-2.0
"""What `finesight agent` does with finished traces, without a screen: compare them with a model, or export them."""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from finesight.cli.model_choice import DraftingModel
from finesight.cli.output import check_writable, print_json
from finesight.errors import ConfigError

if TYPE_CHECKING:
    from finesight.apps.agent.compare import ComparedStep


class ExportForm(StrEnum):
    """What --export writes."""

    ROWS = "rows"
    PLAYWRIGHT = "playwright"
    ADB = "adb"


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceOptions:
    """Options of the work on traces."""

    compare: Annotated[
        Path | None,
        typer.Option(
            help="Ask the model for each step on the recorded screens of this trace; print how many are the same.",
            metavar="TRACE",
        ),
    ] = None
    export: Annotated[
        list[Path] | None,
        typer.Option(
            help="Write the steps of this trace to --out, in the form of --format. Repeatable for rows.",
            metavar="TRACE",
        ),
    ] = None
    form: Annotated[
        ExportForm,
        typer.Option(
            "--format",
            help="With --export: training data (rows; only of runs that were verified as done), a Python script for"
            " Playwright (traces of web pages), or a shell script of adb commands (traces of phones).",
        ),
    ] = ExportForm.ROWS
    out: Annotated[
        Path | None,
        typer.Option(
            help="With --export: folder for rows.jsonl and screens, or file of the script.",
            metavar="PATH",
        ),
    ] = None
    all_steps: Annotated[
        bool,
        typer.Option(
            "--all-steps",
            help="With --export of rows: also steps of other runs, and those without effect.",
        ),
    ] = False


_COMMON = frozenset({"as_json", "debug"})
_MODEL = frozenset({each.name for each in fields(DraftingModel)} | {"threads"})
_USED = {
    "compare": _COMMON | _MODEL | {"compare", "min_pixels", "max_pixels", "max_new_tokens"},
    "export": _COMMON | {"export", "form", "out", "all_steps"},
}
"""Parameters that each way to work on traces uses; all others are those of a run."""


def is_offline(context: typer.Context, given: TraceOptions) -> bool:
    """Whether the command works on traces alone.

    Raises:
        ConfigError: an option is missing, or would have no effect.
    """
    values = context.params
    changed = {
        each.name or "": each.opts[0] if each.param_type_name == "option" else "the task"
        for each in context.command.params
        if (value := values.get(each.name or "")) and value != each.default
    }
    mode = "compare" if given.compare else "export" if given.export else None
    if mode is None:
        if unused := [changed[each] for each in ("form", "out", "all_steps") if each in changed]:
            raise ConfigError(f"{unused[0]} has no effect without --export", hint="leave it out")
        return False
    if unused := [option for name, option in changed.items() if name not in _USED[mode]]:
        raise ConfigError(
            f"{' and '.join(unused)} would have no effect with --{mode}",
            hint="leave it out: no screen is used, and settings are those of the trace",
        )
    if mode == "export":
        _check_export(given)
    return True


def _check_export(given: TraceOptions) -> None:
    """Raise `ConfigError` if there is no place to write to, or an option does not fit the form."""
    form, traces = given.form, given.export or []
    if given.out is None:
        what = "a folder" if form is ExportForm.ROWS else "a file"
        raise ConfigError(f"--export needs {what}", hint="give it with --out")
    if form is ExportForm.ROWS:
        return
    if len(traces) > 1:
        raise ConfigError(
            f"--format {form.value} writes one trace, and --export was given {len(traces)} times",
            hint="write a script for each trace",
        )
    if given.all_steps:
        raise ConfigError(
            f"--all-steps has no effect with --format {form.value}: a script repeats all performed steps",
            hint="leave it out",
        )


def compare(
    trace: Path,
    model: DraftingModel,
    *,
    min_pixels: int | None,
    max_pixels: int | None,
    max_new_tokens: int | None,
    as_json: bool,
) -> None:
    """Ask a model for each step of a trace, and print how many steps are the same."""
    from finesight.apps.agent.compare import compare as compare_steps
    from finesight.apps.agent.replay import read_trace

    read_trace(trace)  # first: without a trace no model is loaded
    found = compare_steps(
        trace,
        model.opened(),
        min_pixels=min_pixels,
        max_pixels=max_pixels,
        max_new_tokens=max_new_tokens,
        on_step=_note,
    ).to_dict()
    if as_json:
        print_json({**found, "trace": str(trace), "model": model.name})
        return
    total, left = found["num_compared"], found["num_not_compared"]
    sys.stdout.write(
        f"same step: {found['num_same']} of {total} ({found['same']:.0%}); same action: {found['num_same_kind']} of"
        f" {total} ({found['same_kind']:.0%}); not compared: {left}\n"
    )


def _note(step: ComparedStep) -> None:
    words = "same" if step.is_same else step.reason
    said = words if step.is_compared else f"not compared: {words}"
    sys.stderr.write(f"step {step.n}: {said}\n")


def export(given: TraceOptions, *, as_json: bool) -> None:
    """Write the steps of traces as training data or as a script, and print their number."""
    assert given.export is not None  # see `is_offline`
    assert given.out is not None
    if given.form is ExportForm.ROWS:
        _write_rows(given.export, given.out, all_steps=given.all_steps, as_json=as_json)
    else:
        _write_script(given.export[0], given.out, given.form, as_json=as_json)


def _write_rows(traces: list[Path], out: Path, *, all_steps: bool, as_json: bool) -> None:
    from finesight.apps.agent.export import export_traces

    check_writable(out, is_folder=True)
    rows, left_out = export_traces(traces, out, all_steps=all_steps)
    if as_json:
        print_json({"rows": rows, "left_out": dict(left_out), "files": [str(out / "rows.jsonl")]})
        return
    sys.stdout.write(f"{rows} steps written to {out / 'rows.jsonl'}\n")
    for reason, count in left_out.items():
        sys.stdout.write(f"left out: {count} {reason}\n")


def _write_script(trace: Path, out: Path, form: ExportForm, *, as_json: bool) -> None:
    from finesight.apps.agent.scripts import write_script

    check_writable(out, is_folder=False)
    kind: Literal["playwright", "adb"] = "adb" if form is ExportForm.ADB else "playwright"
    steps, left_out = write_script(trace, out, kind)
    if as_json:
        print_json({"steps": steps, "left_out": left_out, "files": [str(out)]})
        return
    sys.stdout.write(f"{steps} steps written to {out}\n")
    if left_out:
        sys.stdout.write(f"left out: {left_out} not performed, or broken off\n")
