# SPDX-License-Identifier: Apache-2.0
"""What `finesight agent` does with finished traces, without a screen: compare them with a model, or export them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from finesight.cli.output import check_writable, print_json
from finesight.errors import ConfigError

if TYPE_CHECKING:
    from finesight.apps.agent.compare import ComparedStep
    from finesight.responder import Responder


class ExportForm(StrEnum):
    """What --export writes."""

    ROWS = "rows"
    PLAYWRIGHT = "playwright"
    ADB = "adb"


Compare = Annotated[
    Path | None,
    typer.Option(
        help="Ask the model for each step on the recorded screens of this trace; print how many are the same.",
        metavar="TRACE",
    ),
]
Export = Annotated[
    list[Path] | None,
    typer.Option(
        help="Write the steps of this trace to --out, in the form of --format. Repeatable for rows.",
        metavar="TRACE",
    ),
]
Form = Annotated[
    ExportForm,
    typer.Option(
        "--format",
        help="With --export: training data (rows; only of runs that were verified as done), a Python script for"
        " Playwright (traces of web pages), or a shell script of adb commands (traces of phones).",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        help="With --export: folder for rows.jsonl and screens, or file of the script.",
        metavar="PATH",
    ),
]
AllSteps = Annotated[
    bool,
    typer.Option(
        "--all-steps",
        help="With --export of rows: also steps of other runs, and those without effect.",
    ),
]

_COMMON = frozenset({"as_json", "debug"})
_MODEL = frozenset(
    {
        *("model", "mmproj", "adapters", "min_pixels", "max_pixels", "max_new_tokens"),
        *("device", "dtype", "weights", "vision_weights", "draft_tokens", "threads"),
    }
)
_USED = {
    "compare": _COMMON | _MODEL | {"compare"},
    "export": _COMMON | {"export", "form", "out", "all_steps"},
}
"""What each way to work on traces uses; all other options are those of a run."""


def is_offline(given: Mapping[str, Any], defaults: Mapping[str, Any]) -> bool:
    """Whether the command works on traces alone.

    Args:
        given: the command's variables.
        defaults: their values if nothing is given.

    Raises:
        ConfigError: an option is missing, or would have no effect.
    """
    changed = [each for each in given if given[each] and given[each] != defaults[each]]
    mode = next((each for each in _USED if given[each]), None)
    if mode is None:
        if unused := [each for each in changed if each in ("form", "out", "all_steps")]:
            raise ConfigError(f"{_name(unused[0])} has no effect without --export", hint="leave it out")  # fmt: skip
        return False
    if unused := [_name(each) for each in changed if each not in _USED[mode]]:
        raise ConfigError(
            f"{' and '.join(unused)} would have no effect with --{mode}",
            hint="leave it out: no screen is used, and settings are those of the trace",
        )
    if mode == "export":
        _check_export(given)
    return True


def _check_export(given: Mapping[str, Any]) -> None:
    """Raise `ConfigError` if there is no place to write to, or an option does not fit the form."""
    form: ExportForm = given["form"]
    if given["out"] is None:
        what = "a folder" if form is ExportForm.ROWS else "a file"
        raise ConfigError(f"--export needs {what}", hint="give it with --out")
    if form is ExportForm.ROWS:
        return
    if len(given["export"]) > 1:
        raise ConfigError(
            f"--format {form.value} writes one trace, and --export was given {len(given['export'])} times",
            hint="write a script for each trace",
        )
    if given["all_steps"]:
        raise ConfigError(
            f"--all-steps has no effect with --format {form.value}: a script repeats all performed steps",
            hint="leave it out",
        )


def _name(variable: str) -> str:
    """The option of a variable."""
    named = {"goal": "the task", "form": "--format"}
    return named.get(variable, f"--{variable.replace('_', '-')}")


def work(given: Mapping[str, Any], responder: Callable[[], Responder]) -> None:
    """Compare or export.

    Args:
        given: the command's variables.
        responder: loads the model.
    """
    if given["compare"] is not None:
        _compare(given, responder)
    elif given["form"] is ExportForm.ROWS:
        _export(given)
    else:
        _write_script(given)


def _compare(given: Mapping[str, Any], responder: Callable[[], Responder]) -> None:
    from finesight.apps.agent.compare import compare
    from finesight.apps.agent.replay import read_trace

    read_trace(given["compare"])  # first: without a trace no model is loaded
    found = compare(
        given["compare"],
        responder(),
        min_pixels=given["min_pixels"],
        max_pixels=given["max_pixels"],
        max_new_tokens=given["max_new_tokens"],
        on_step=_note,
    ).to_dict()
    if given["as_json"]:
        print_json({**found, "trace": str(given["compare"]), "model": given["model"]})
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


def _export(given: Mapping[str, Any]) -> None:
    from finesight.apps.agent.export import export_traces

    out: Path = given["out"]
    check_writable(out, is_folder=True)
    rows, left_out = export_traces(given["export"], out, all_steps=given["all_steps"])
    if given["as_json"]:
        print_json({"rows": rows, "left_out": dict(left_out), "files": [str(out / "rows.jsonl")]})
        return
    sys.stdout.write(f"{rows} steps written to {out / 'rows.jsonl'}\n")
    for reason, count in left_out.items():
        sys.stdout.write(f"left out: {count} {reason}\n")


def _write_script(given: Mapping[str, Any]) -> None:
    from finesight.apps.agent.scripts import write_script

    out: Path = given["out"]
    check_writable(out, is_folder=False)
    steps, left_out = write_script(given["export"][0], out, given["form"].value)
    if given["as_json"]:
        print_json({"steps": steps, "left_out": left_out, "files": [str(out)]})
        return
    sys.stdout.write(f"{steps} steps written to {out}\n")
    if left_out:
        sys.stdout.write(f"left out: {left_out} not performed\n")
