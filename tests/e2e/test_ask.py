# SPDX-License-Identifier: Apache-2.0
"""`finesight ask` and `locate` with a random model: what comes out, where, and in which order."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from PIL import Image

SHORT = ("--max-new-tokens", "6")


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


def test_a_fresh_process_answers(tiny_model_folder, picture_file):
    done = subprocess.run(
        [
            *(
                sys.executable,
                "-c",
                "import sys; from finesight.cli.main import main; sys.exit(main())",
            ),
            *("ask", "What is this?", "--image", str(picture_file), *SHORT),
            *("--model", str(tiny_model_folder)),
        ],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert "Traceback" not in done.stderr
