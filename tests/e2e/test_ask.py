# SPDX-License-Identifier: Apache-2.0
"""`finesight ask` and `locate` with a random model: what comes out, where, and in which order."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

SHORT = ("--max-new-tokens", "6")
PAGE = Path(__file__).parents[2] / "examples/media/page.pdf"
TICKET = PAGE.with_name("ticket.png")


@pytest.fixture
def ask(finesight, tiny_model_folder):
    return lambda *words: finesight("ask", *words, "--model", tiny_model_folder, *SHORT)


def test_answer_on_standard_output_talk_on_standard_error(ask, picture_file):
    outcome = ask("What is this?", "--image", picture_file)
    assert outcome.code == 0
    assert outcome.out.endswith("\n")
    assert "prompt tokens" in outcome.err
    assert "prompt tokens" not in outcome.out


def test_json_is_one_object(ask, picture_file):
    outcome = ask("What is this?", "--image", picture_file, "--json")
    answer = json.loads(outcome.out)
    assert answer["media"][0]["original"] == {"width": 112, "height": 84}
    assert answer["usage"]["completion_tokens"] <= 6
    assert answer["sampling"]["max_new_tokens"] == 6
    assert answer["finish_reason"] in ("stop", "length")


def test_media_are_shown_in_the_order_given(ask, picture_file, video_file, pdf_file):
    outcome = ask(
        *("What?", "--pdf", pdf_file, "--pages", "3,1", "--video", video_file, "--nframes", 4),
        *(f"--image={picture_file}", "--json", "--fit", 600),
    )
    assert outcome.code == 0, outcome.err
    media = json.loads(outcome.out)["media"]
    assert [(entry["kind"], entry["page"]) for entry in media] == [
        ("image", 2),
        ("image", 0),
        ("video", None),
        ("image", None),
    ]
    assert len(media[2]["frame_seconds"]) == 4
    assert json.loads(outcome.out)["usage"]["prompt_tokens"] <= 600


def test_an_answer_can_be_constrained(ask, picture_file, tmp_path):
    words = ("Is it red?", "--image", picture_file)
    assert ask(*words, "--choice", "yes", "--choice", "no").out in ("yes\n", "no\n")
    assert len(ask(*words, "--regex", "[0-9]{3}").out) == 4
    schema = {"type": "object", "properties": {"a": {"enum": [1, 2]}}, "required": ["a"]}
    schema["additionalProperties"] = False
    file = tmp_path / "schema.json"
    file.write_text(json.dumps(schema), encoding="utf-8")
    long = ("--max-new-tokens", 40)
    for given in (json.dumps(schema), file):
        outcome = ask(*words, *long, "--json-schema", given, "--json")
        assert json.loads(json.loads(outcome.out)["text"])["a"] in (1, 2), outcome.err
    lark = tmp_path / "g.lark"
    lark.write_text('start: "a" | "b"', encoding="utf-8")
    assert ask(*words, "--grammar", lark).out in ("a\n", "b\n")
    outcome = ask(*words, "--grammar", "boxes")
    assert outcome.out.startswith("```json")
    assert "inside its grammar: it is not complete" in outcome.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--regex", "a", "--choice", "b"), "regex and choice are given"),
        (("--regex", "("), "unclosed group"),
        (("--json-schema", '{"type": "x"}'), "Invalid type: x"),
        (("--json-schema", "[1"), "json_schema is not JSON"),
        (("--json-schema", "none.json"), "'none.json' cannot be read (No such file"),
        (("--json-schema", "a\0b"), "cannot be read"),
        (("--grammar", "box"), "'box' cannot be read"),
        (("--grammar", "boxes"), "the conversation shows none"),
        (("--grammar", "tool_calls"), "the conversation offers none"),
        (("--regex", "a", "--stop", "b"), "could cut an answer"),
        (("--choice", ""), "strings that are not empty"),
        (("--min-p", "0.1"), "min_p=0.1 has no effect at temperature 0"),
        (("--presence-penalty", "3"), "presence_penalty=3.0; it must be a number from -2 to 2"),
        (("--loop-retries", "99"), "loop_retries=99"),
    ],
    ids=str,
)
def test_a_constraint_that_cannot_be_applied_is_wrong_usage(ask, words, said):
    outcome = ask("Why?", *words)
    assert outcome.code == 2
    assert said in " ".join(outcome.err.split())
    assert outcome.out == ""


def test_a_file_that_is_not_text_is_named(ask, tmp_path):
    file = tmp_path / "s.json"
    file.write_bytes(b"\xff\xfe{")
    outcome = ask("Why?", "--json-schema", file)
    assert outcome.code == 2
    assert "s.json' cannot be read" in " ".join(outcome.err.split())


def test_same_seed_same_answer(ask, picture_file):
    words = ("Why?", "--image", picture_file, "--temperature", "1.5", "--seed")
    first, again, other = ask(*words, "1").out, ask(*words, "1").out, ask(*words, "2").out
    assert first == again
    assert first != other


def test_overlays_and_report(ask, picture_file, video_file, pdf_file, tmp_path):
    before = picture_file.read_bytes()
    outcome = ask(
        *("What?", "--image", picture_file, "--image", picture_file, "--video", video_file),
        *("--pdf", pdf_file, "--pages", "2", "--save-overlay", "out/drawn", "--report", "r.html"),
        "--json",
    )
    assert outcome.code == 0, outcome.err
    files = json.loads(outcome.out)["files"]
    names = [path.rsplit("/", 1)[-1] for path in files]
    assert names == [
        "shapes.answer.png",
        "shapes-2.answer.png",
        "moving.answer.png",
        "three-page2.answer.png",
        "r.html",
    ]
    for name in names[:-1]:
        with Image.open(tmp_path / "out" / "drawn" / name) as image:
            assert image.format == "PNG"
            assert min(image.size) > 50
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "data:image/" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert picture_file.read_bytes() == before


def test_locate_prints_places_in_original_pixels(finesight, tiny_model_folder, picture_file):
    words = ("--image", picture_file, "--model", tiny_model_folder, *SHORT)
    outcome = finesight("locate", "the red square", *words)
    assert outcome.code == 0
    assert all("\t" in line for line in outcome.out.splitlines())
    outcome = finesight("locate", "the red square", *words, "--as", "point", "--json")
    assert json.loads(outcome.out)["boxes"] == []


NOT_FOUND = "not found; the model answered: "


def test_locate_says_what_it_did_not_find(finesight, tiny_model_folder, picture_file):
    words = ("--image", picture_file, "--model", tiny_model_folder, *SHORT)
    outcome = finesight("locate", "the red square", *words)
    assert (outcome.code, outcome.out) == (0, "")
    answer = json.loads(finesight("locate", "the red square", *words, "--json").out)
    assert NOT_FOUND + " ".join(answer["text"].split()) in outcome.err


@pytest.fixture
def folder_of_pictures(tmp_path, picture):
    folder = tmp_path / "many"
    folder.mkdir()
    for name in ("img10.png", "img2.png"):
        picture.save(folder / name)
    return folder


def test_locate_asks_about_each_picture(
    finesight, tiny_model_folder, picture_file, folder_of_pictures
):
    images = ("--image", "many", "--image", picture_file)
    words = ("locate", "red square", "--all", *images, "--model", tiny_model_folder, *SHORT)
    outcome = finesight(*words, "--json", "--save-overlay", "out")
    assert outcome.code == 0, outcome.err
    said = json.loads(outcome.out)
    sources = [each["media"][0]["source"] for each in said["pictures"]]
    assert sources == ["many/img2.png", "many/img10.png", str(picture_file)]
    assert said["files"] == [f"out/{name}.answer.png" for name in ("img2", "img10", "shapes")]
    assert "folder many: pictures: 2\n" in outcome.err
    assert all(f"{source}: not found" in outcome.err for source in sources)


def test_a_broken_picture_is_found_before_the_model_is_loaded(
    finesight, tiny_model_folder, folder_of_pictures
):
    (folder_of_pictures / "img11.png").write_bytes(b"no picture")
    outcome = finesight("locate", "x", "--image", "many", "--model", tiny_model_folder, *SHORT)
    assert outcome.code == 1
    assert "img11.png" in outcome.err
    assert "prompt tokens" not in outcome.err


def test_a_folder_is_one_question_to_ask_and_plan(
    finesight, ask, folder_of_pictures, tiny_model_folder
):
    media = json.loads(ask("What?", "--image", "many", "--json").out)["media"]
    assert [entry["source"] for entry in media] == ["many/img2.png", "many/img10.png"]
    planned = finesight("plan", "What?", "--image", "many", "--json", "--model", tiny_model_folder)
    assert [entry["source"] for entry in json.loads(planned.out)["media"]] == [
        "many/img2.png",
        "many/img10.png",
    ]


@pytest.mark.parametrize("command", ["ask", "locate", "plan"])
def test_a_picture_from_standard_input(
    finesight, tiny_model_folder, picture_file, monkeypatch, command
):
    words = ("What?", "--image", "-", "--json", *SHORT, "--model", tiny_model_folder)
    with io.TextIOWrapper(picture_file.open("rb")) as standard_input:
        monkeypatch.setattr(sys, "stdin", standard_input)
        outcome = finesight(command, *words)
    assert outcome.code == 0, outcome.err
    (media,) = json.loads(outcome.out)["media"]
    original = media["original"] if command != "plan" else media["resize"]["original"]
    assert original == {"width": 112, "height": 84}


def test_a_shrunk_picture_is_said_before_the_answer(ask, picture_file):
    outcome = ask("What?", "--image", picture_file, "--min-pixels", 784, "--max-pixels", 784)
    assert f"note: {picture_file}: it was shrunk from 112 x 84 to 28 x 28" in outcome.err
    assert outcome.err.index("shrunk") < outcome.err.index("prompt tokens")
    assert "shrunk" not in ask("What?", "--image", picture_file).err


def test_the_embedded_model_points_at_each_of_several_things(finesight, tmp_path):
    picture, corners = Image.new("RGB", (448, 448), "white"), ((30, 40), (240, 60), (120, 300))
    for x, y in corners:
        picture.paste("red", (x, y, x + 70, y + 70))
    picture.save(tmp_path / "red.png")
    words = ("locate", "red square", "--all", "--as", "point", "--image", "red.png", "--json")
    points = [point["point"] for point in json.loads(finesight(*words).out)["points"]]
    assert len(points) == 3
    for x, y in corners:
        assert sum(x <= at[0] <= x + 70 and y <= at[1] <= y + 70 for at in points) == 1


@pytest.mark.filterwarnings("default:message 0 holds <image>")  # what it says is what is tested
def test_markers_of_pictures_are_said_to_be_plain_text(finesight, tiny_model_folder, picture_file):
    words = ("ask", "<image> What?", "--image", picture_file, "--max-new-tokens", 2)
    said = finesight(*words, "--model", tiny_model_folder).err
    assert "note: message 0 holds <image> as often as it has such parts (1)" in said
    assert "Warning" not in said


def test_the_embedded_model_says_once_what_it_was_trained_for(finesight, folder_of_pictures):
    outcome = finesight("locate", "red square", "--image", "many", "--max-new-tokens", "8")
    assert outcome.code == 0, outcome.err
    assert outcome.err.count("tiny was trained for ") == 1


def test_a_fresh_process_answers_about_what_comes_through_a_pipe(tiny_model_folder, picture_file):
    program = "import sys; from finesight.cli.main import main; sys.exit(main())"
    words = ("ask", "What is this?", "--image", "-", *SHORT, "--model", str(tiny_model_folder))
    with picture_file.open("rb") as picture:
        done = subprocess.run(
            [sys.executable, "-c", program, *words],
            stdin=picture,
            capture_output=True,
            text=True,
            timeout=300,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert "Traceback" not in done.stderr


def test_guessed_tokens_and_packed_weights_are_said_and_guesses_change_no_answer(
    finesight, tiny_model_folder, picture_file
):
    words = ("ask", "a b c d a b c d a b", "--image", picture_file, "--max-new-tokens", 40)
    words = (*words, "--model", tiny_model_folder, "--json")
    plain, guessed = (finesight(*words, "--draft-tokens", number) for number in (0, 4))
    before, after = json.loads(plain.out), json.loads(guessed.out)
    assert before["text"] == after["text"]
    assert before["usage"]["drafted_tokens"] == 0
    counts = after["usage"]
    if counts["drafted_tokens"]:
        said = (
            f"{counts['accepted_tokens']} of {counts['drafted_tokens']} guessed tokens were right"
        )
        assert said in guessed.err
    packed = finesight(*words, "--weights", "bf16")
    assert packed.code == 0, packed.err
    assert "note: weights of the language model: bf16" in packed.err


def test_the_model_with_a_pre_trained_decoder_talks_and_reads(finesight):
    """The decoder and the shipped parts are put together in the user's cache."""
    short = ("--model", "small", "--max-new-tokens", 48)
    talk = finesight("ask", "What is the capital of France?", *short)
    assert talk.code == 0, talk.err
    assert talk.out == "The capital of France is Paris.\n"
    assert "small was trained for plain English conversations" in talk.err
    page = finesight("ask", "Read all the text in the image.", "--pdf", PAGE, *short)
    assert "Open Monday" in page.out
    ticket = finesight("ask", "Read all the text in the image.", "--image", TICKET, *short)
    assert ticket.out == "Museum ticket\n"
