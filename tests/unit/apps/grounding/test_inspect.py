# SPDX-License-Identifier: Apache-2.0
"""Inspections: every shipped preset passes and fails as it should, and doubt is neither."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from finesight.apps.grounding.detect import Search
from finesight.apps.grounding.inspect import inspect
from finesight.apps.grounding.presets import PRESETS, is_inside, preset_path, read_inspection
from finesight.errors import ConfigError, RemoteError
from finesight.geometry import Box, Point
from tests.support.app_responders import MISBEHAVIOURS, Hostile, Oracle, Question
from tests.support.grounding import Scoring, shown_part, visible, without_margin

SMALL = Search(min_pixels=None)


@dataclass
class World:
    """What a picture shows: boxes by name with their attributes, answers to questions, and a text."""

    things: dict[str, list[tuple[Box, set[str]]]] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    new: list[Box] = field(default_factory=list)
    pixels: np.ndarray = field(default_factory=lambda: np.full((600, 800, 3), 200, np.uint8))

    def __call__(self, question: Question) -> str:
        text, part = question.text, shown_part(question, self.pixels)
        assert part is not None
        name = next((one for one in self.things if one in text), "")
        rows = self.things.get(name, [])
        if "Picture 2" in text:
            return self._difference(question, part)
        if text.startswith("Question: "):
            asked, answer = text.removeprefix("Question: ").split("\n")[:2]
            return "Yes" if answer == f'Answer: "{self.facts[asked]}"' else "No"
        if text in self.facts:
            return self.facts[text]
        if text.startswith("Is there a ") and part.area == 800 * 600:
            return "Yes" if rows else "No"
        if text.startswith("Is "):
            inner = without_margin(part)
            at = [has for box, has in rows if inner.x1 - 9 <= box.center.x <= inner.x2 + 9]
            if text.startswith("Is there a "):
                return "Yes" if len(at) == 1 else "No"
            return "Yes" if any(word in text for word in at[0]) else "No"
        boxes = [(box, name) for box, _ in rows if visible(box, part)]
        return question.boxes_json(boxes)

    def _difference(self, question: Question, part: Box) -> str:
        if "Locate every" in question.text:
            assert [one.shape for one in question.pictures] == [(300, 400, 3), (600, 800, 3)]
            return question.boxes_json([(box, "defect") for box in self.new], picture=1)
        return "Yes" if any(visible(box, part) for box in self.new) else "No"


def box(x, y=300, side=80):
    return Box(x, y, x + side, y + side)


SHARP = {"Is the display or the dial of the meter hidden, dirty or blurred?": "No"}
METER = "What value does the meter show? Answer with the number only."
LABEL = {
    "What is the name of the product on the label? Answer with the name only.": "Oat drink",
    "What is the best-before date on the label? Answer with the date only.": "2027-01-31",
    "Is the label torn, wrinkled or partly missing?": "No",
}
HELMET, VEST = "wearing a helmet", "wearing a high-visibility vest"
DATE = "What is the best-before date on the label? Answer with the date only."

CASES = {
    "ppe": (
        World({"person": [(box(50), {HELMET, VEST}), (box(400), {HELMET, VEST})]}),
        World({"person": [(box(50), {HELMET, VEST}), (box(400), {VEST})]}),
    ),
    "surface_defect": (World(), World(new=[box(100)])),
    "label_check": (
        World({"label": [(box(200), set())]}, LABEL),
        World({"label": [(box(200), set())]}, {**LABEL, DATE: "none printed"}),
    ),
    "shelf": (
        World({"product": [(box(50), set())], "price tag": [(box(300), set())]}),
        World({"price tag": [(box(300), set())]}),
    ),
    "perimeter": (  # one stands outside of the zone, though half of the box is in it
        World({"person": [(box(50, 200), set())]}),
        World({"person": [(box(50, 260), set())]}),
    ),
    "parcel": (
        World({"parcel": [(box(50), set())]}),
        World({"parcel": [(box(50), {"torn, crushed or open"})]}),
    ),
    "leftover_object": (World(), World(new=[box(300)])),
    "meter": (World(facts={METER: "4.2", **SHARP}), World(facts={METER: "9.75", **SHARP})),
}
CHANGES = {"meter": ["checks.reading.least=1", "checks.reading.most=6", "checks.reading.unit=bar"]}


def run(preset, world, *, kind=Scoring, sure=0.95, search=SMALL):
    inspection = read_inspection(preset, overrides=CHANGES.get(preset, []))
    responder = Scoring(world, sure) if kind is Scoring else Oracle(world)
    reference = np.full((300, 400, 3), 200, np.uint8)
    return inspect(responder, world.pixels, inspection, reference=reference, search=search)


@pytest.mark.parametrize("kind", [Scoring, Oracle])
@pytest.mark.parametrize("preset", PRESETS)
def test_each_preset_passes_what_is_right_and_fails_what_is_wrong(preset, kind):
    right, wrong = (run(preset, world, kind=kind) for world in CASES[preset])
    assert right.verdict == "pass", right.findings
    assert wrong.verdict == "fail", wrong.findings
    assert right.coverage.is_full
    (failed, *_) = [one for one in wrong.findings if one.verdict == "fail"]
    assert failed.found.score.value > 0.9


@pytest.mark.parametrize("preset", PRESETS)
def test_answers_that_are_hardly_more_probable_are_unsure(preset):
    verdicts = {run(preset, world, sure=0.55).verdict for world in CASES[preset]}
    assert verdicts <= {"unsure", "pass", "fail"}
    assert "fail" not in verdicts or preset in ("shelf",)  # what is absent needs no second question


def test_a_finding_says_which_thing_and_where():
    inspected = run("ppe", CASES["ppe"][1])
    helmet, vest = inspected.findings
    assert (helmet.check, helmet.verdict, helmet.severity) == ("helmet", "fail", "high")
    assert [one.label for one in helmet.things] == [
        "person, wearing a helmet",
        "person, not wearing a helmet",
    ]
    assert helmet.message == "2 person, 1 wearing a helmet, 1 not, 0 unsure"
    assert vest.verdict == "pass"
    values = inspected.to_dict()
    assert values["findings"][0]["things"][1]["box"][0] == pytest.approx(400, abs=2)
    assert values["findings"][0]["value"] == 2


def test_a_meter_reading_has_its_number_and_unit():
    reading = run("meter", CASES["meter"][1]).findings[0]
    assert reading.found.value == 9.75
    assert reading.message == "it says 9.75 bar; the most is 6"


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("1,234.5", 1234.5),
        ("12,500 psi", 12500.0),
        ("−4,5", -4.5),
        ("Gauge 3 shows 4.5", 4.5),
        ("PT-100", 100.0),
        ("10-20", None),
        ("1,2.3,4", None),
    ],
)
def test_a_number_is_read_whole_or_not_at_all(said, value):
    reading = run("meter", World(facts={METER: said, **SHARP})).findings[0]
    assert reading.found.value == value
    assert (reading.found.status == "unread") == (value is None)


def inspection_of(folder, check):
    path = folder / "mine.toml"
    path.write_text(f'title = "a"\n[checks.one]\n{check}', encoding="utf-8")
    return read_inspection(path)


def test_an_attribute_may_be_a_negation(tmp_path):
    text = 'kind = "each"\nphrase = "cup"\nattribute = "without a lid"'
    world = World({"cup": [(box(50), {"without a lid"})]})

    def answer(question):
        beside = '"label": "cup", "sub_label": "without a lid"'
        return world(question).replace('"label": "cup"', beside)

    inspection = inspection_of(tmp_path, text)
    found = inspect(Scoring(answer, 0.95), world.pixels, inspection, search=SMALL).findings[0]
    assert (found.verdict, found.things[0].attributes["sub_label"]) == ("pass", "without a lid")


def test_differences_whose_list_broke_off_do_not_pass(tmp_path):
    text = 'kind = "count"\nphrase = "defect"\nreference = true\nmost = 3'
    world = World(new=[box(100)])

    class Cutting(Scoring):
        def respond(self, conversations, sampling):
            replies = super().respond(conversations, sampling)
            return [replace(reply, finish_reason="length") for reply in replies]

    other = np.full((300, 400, 3), 200, np.uint8)
    for kind, verdict in ((Scoring, "pass"), (Cutting, "unsure")):
        found = inspect(
            kind(world, 0.95),
            world.pixels,
            inspection_of(tmp_path, text),
            reference=other,
            search=SMALL,
        )
        assert found.verdict == verdict


class Broken:
    def respond(self, conversations, sampling):
        raise RemoteError("the endpoint is gone")


@pytest.mark.parametrize("preset", PRESETS)
def test_an_endpoint_that_is_gone_is_unsure(preset):
    inspection = read_inspection(preset)
    pixels = np.zeros((200, 200, 3), np.uint8)
    inspected = inspect(Broken(), pixels, inspection, reference=pixels)
    assert inspected.verdict == "unsure"
    assert len(inspected.coverage.skipped) == len(inspection.checks)
    assert all(
        "the endpoint is gone" in one.reason or "tiles" in one.reason
        for one in inspected.coverage.skipped
    )


@pytest.mark.parametrize("how", MISBEHAVIOURS)
@pytest.mark.parametrize("preset", ["ppe", "meter"])
def test_a_hostile_responder_never_passes_what_is_wrong(preset, how):
    world = CASES[preset][1]
    inspection = read_inspection(preset, overrides=CHANGES.get(preset, []))
    responder = Hostile(Oracle(world), how)
    inspected = inspect(responder, world.pixels, inspection, search=SMALL)
    assert inspected.verdict in ("fail", "unsure")


def test_a_reference_that_is_missing_is_an_error():
    with pytest.raises(ConfigError, match="none is given"):
        inspect(Broken(), np.zeros((9, 9, 3), np.uint8), read_inspection("leftover_object"))


def test_severities_below_the_bar_do_not_fail():
    world = CASES["ppe"][1]
    inspection = read_inspection("ppe", overrides=["checks.helmet.severity=low", "fail_at=medium"])
    assert inspect(Scoring(world), world.pixels, inspection, search=SMALL).verdict == "pass"


@pytest.mark.parametrize("preset", PRESETS)
def test_shipped_files_are_read(preset):
    assert read_inspection(preset).title
    assert read_inspection(preset_path(preset)) == read_inspection(preset)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('title = "a"\n[checks.x]\nkind = "cuont"\nphrase = "a"', "checks.x"),
        ('title = "a"\n[checks.x]\nkind = "count"\nphrase = "a"\nzone = "b"', "there are: none"),
        ('title = "a"\n[checks]', "checks"),
        ('title = "a"\nzones.z = [[0, 0], [2, 0], [1, 1]]', "zones.z"),
        (
            'title = "a"\n[checks.a]\nkind = "text"\nask = "b"\nreference = true',
            r"mine\.toml: .*reference",
        ),
        ("title = ", "is not TOML"),
        (
            'title = "a"\n[checks.a]\nkind = "text"\nask = "b"\npattern = "(("',
            r"mine\.toml: checks\.a\.pattern = .*not a regular expression",
        ),
        (
            'title = "a"\n[checks.a]\nkind = "count"\nphrase = "b"\nleast = 5\nmost = 1',
            r"mine\.toml: checks\.a: .*least=5 exceeds most=1",
        ),
        (
            'title = "a"\n[checks.a]\nkind = "number"\nask = "b"\nleast = 5.5\nmost = 1',
            r"checks\.a: .*least=5\.5 exceeds most=1",
        ),
    ],
)
def test_a_wrong_file_is_an_error_with_its_place(tmp_path, text, said):
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=said):
        read_inspection(path)


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ("checks.product.phras=x", "--set: unknown key checks.product.phras"),
        ("checks.product.least=-1", "--set: checks.product.least = -1"),
        ("checks.foo.phrase=x", "--set: checks.foo.kind is missing"),
        ("checks.product.zone=x", "--set: .*check product has the zone 'x'"),
    ],
)
def test_a_wrong_override_is_named_as_it_was_typed(item, said):
    with pytest.raises(ConfigError, match=f"^{said}") as caught:
        read_inspection("shelf", overrides=[item])
    assert caught.value.hint == ("did you mean phrase?" if "unknown" in said else "")


def test_an_unknown_name_lists_the_presets():
    with pytest.raises(ConfigError) as caught:
        read_inspection("pppe")
    assert "perimeter" in caught.value.hint


def test_points_in_polygons():
    ring = ((0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.5, 0.4), (0.2, 0.8))
    inside = [(0.3, 0.3), (0.5, 0.3), (0.25, 0.7), (0.75, 0.7)]
    outside = [(0.5, 0.6), (0.1, 0.5), (0.9, 0.9), (0.5, 0.9)]
    assert all(is_inside(Point(*each), ring) for each in inside)
    assert not any(is_inside(Point(*each), ring) for each in outside)
