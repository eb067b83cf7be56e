# SPDX-License-Identifier: Apache-2.0
"""Tasks about videos: tiny copies in each stated layout; most videos are names of files that hold nothing."""

from __future__ import annotations

import pytest

from finesight.conversation import VideoPart
from finesight.errors import EvalError
from finesight.evals.core.rows import BROKEN
from finesight.evals.core.task import Answered, Budget, Scored
from finesight.evals.tasks.video import (
    charades_sta,
    egoschema,
    longvideobench,
    lvbench,
    mlvu,
    mvbench,
    tempcompass,
    tempcompass_captions,
    video_mme,
    video_mmmu,
)
from finesight.evals.tasks.video.srt import Subtitle, lines_of, read_srt, seen_at
from tests.support.benchmark_copies import (
    as_json,
    cell,
    check_whole,
    items,
    jsonl,
    parquet,
    save,
    words,
)
from tests.support.clips import numbered, write_clip

CHOICES = ["an ape", "a bee", "a cat", "a dog"]
LETTERED = [f"{letter}. {choice}" for letter, choice in zip("ABCD", CHOICES, strict=True)]


def video(folder, name: str):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


def shown(item) -> VideoPart:
    return next(item.conversation.media())


def test_video_mme(tmp_path):
    rows = [
        {
            "video_id": "001",
            "videoID": f"v{n // 2}",
            "duration": "short" if n < 2 else "long",
            "domain": "Knowledge",
            "task_type": "Counting",
            "question_id": f"001-{n}",
            "question": "What is it?",
            "options": LETTERED,
            "answer": "ABCD"[n],
        }
        for n in range(4)
    ]
    parquet(tmp_path / "videomme" / "test-00000-of-00001.parquet", rows)
    path = video(tmp_path, "data/v0.mp4")
    write_clip(path, numbered(40), fps=10)  # frames at 0, 0.6, 1.1, 1.7, 2.2, 2.8, 3.3 and 3.9 s
    subtitles = (
        "1\n00:00:01,000 --> 00:00:02,000\n<i>Hello</i>\n\n2\n00:00:01,200 --> 00:00:01,600\nblink\n\n"
        "3\n00:00:02,000 --> 00:00:03,000\nyou\nthere\n"
    )
    (tmp_path / "subtitle").mkdir()
    (tmp_path / "subtitle" / "v0.srt").write_text(subtitles)
    plain, told = video_mme.TASKS
    asked = check_whole(plain, tmp_path, shuffled=0.0)
    assert words(asked[0]) == (
        "[]Select the best answer to the following multiple-choice question based on the video. Respond with only the"
        " letter (A, B, C, or D) of the correct option.\nQuestion: What is it?\nA. an ape\nB. a bee\nC. a cat\n"
        "D. a dog\nThe best answer is:"
    )
    part = shown(asked[0])
    assert (part.source, part.fps, part.max_frames) == (path, 2.0, 768)
    assert part.total_pixels == 24576 * 28 * 28
    part.check()
    assert asked[0].cluster == asked[1].cluster != asked[2].cluster
    asked = check_whole(told, tmp_path, shuffled=0.0)
    assert words(asked[0]).startswith(
        "[]This video's subtitles are listed below:\nHello\nyou there\nSelect the best answer"
    )
    assert "based on the video and the subtitles." in words(asked[0])
    more = list(told.prompts[0].items(tmp_path, Budget(fps=10.0)))
    assert "Hello\nblink\nyou there\nSelect" in words(more[0])
    everything = list(told.prompts[1].items(tmp_path, told.budget))
    assert "Hello\nblink\nyou there\nSelect" in words(everything[0])
    assert words(asked[2]).startswith("[]Select the best answer")
    metrics = plain.aggregate(
        [
            Scored(item=item, parsed="A", parts={"correct": float(n < 2)})
            for n, item in enumerate(asked)
        ]
    )
    assert metrics["accuracy/duration/short"] == 1.0


def test_subtitles_of_a_video_that_is_not_there_are_not_guessed(tmp_path):
    row = {"videoID": "v", "duration": "short", "question_id": "1", "question": "What?"}
    row |= {"options": LETTERED, "answer": "A"}
    parquet(tmp_path / "test-00000-of-00001.parquet", [row])
    told = video_mme.TASKS[1]
    assert "subtitles" not in words(items(told, tmp_path)[0])
    (tmp_path / "subtitle").mkdir()
    (tmp_path / "subtitle" / "v.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nHi\n")
    (broken,) = items(told, tmp_path)
    assert broken.id == "question 1"
    assert broken.truth[BROKEN].startswith("its subtitles: ")
    assert "listed below:\nHi\n" in words(items(told, tmp_path, prompt=1)[0])


def test_subtitle_files():
    text = (
        "\ufeff1\r\n00:00:01.5 --> 00:00:02,250 X1:0\r\n<font color='red'>one</font>\r\n\r\n"
        "2\n01:02:03,004 --> 01:02:04,000\n \n\n3\nno time\nlost\n\n4\n1:00:00,000 --> 1:00:01,000\ntwo\nlines\n"
    )
    assert read_srt(text) == [
        Subtitle(1.5, 2.25, "one"),
        Subtitle(3600.0, 3601.0, "two lines"),
    ]
    said = [Subtitle(0, 2, "a"), Subtitle(1, 3, "a"), Subtitle(3, 4, "b"), Subtitle(4, 5, "a")]
    assert seen_at(said, [3.0]) == [said[2]]
    assert seen_at(said, [1.5, 4.99, 1.6]) == [said[0], said[1], said[3]]
    assert lines_of(said) == ["a", "b", "a"]


def test_video_mmmu(tmp_path):
    task = video_mmmu.TASKS[0]
    for track in video_mmmu.TRACKS:
        rows = [
            {
                "id": f"validation_Art_Theory_{n}",
                "question": "What was taught?",
                "options": [] if n == 3 else CHOICES,
                "answer": "2.83" if n == 3 else "ABC"[n],
                "question_type": "open" if n == 3 else "multiple-choice",
                "image": cell(n) if track == "Adaptation" else None,
            }
            for n in range(4)
        ]
        parquet(tmp_path / track / "test-00000-of-00001.parquet", rows)
    path = video(tmp_path, "Art/validation_Art_Theory_0.mp4")
    asked = check_whole(task, tmp_path, shuffled=0.4)
    assert len(asked) == 12
    assert shown(asked[0]).source == path
    assert list(asked[-1].conversation.media())[1].max_pixels is None
    assert words(asked[0]) == (
        "[]What was taught?\nA. an ape\nB. a bee\nC. a cat\nD. a dog\n"
        "Please ignore the Quiz question in last frame of the video."
    )
    assert words(asked[-1]) == (
        "[][]You should watch and learn the video content. Then apply what you learned to answer the following"
        " open-ended question. The image for this question is at the end of the video.\nWhat was taught?"
    )
    metrics = task.aggregate(
        [
            Scored(
                item=one, parsed="A", parts={"correct": float(one.tags["track"] == "Perception")}
            )
            for one in asked
        ]
    )
    assert metrics["overall"] == pytest.approx(1 / 3)


def test_mvbench(tmp_path):
    rows = [
        {"video": f"{n}.mp4", "question": "What?", "candidates": CHOICES, "answer": CHOICES[n]}
        for n in range(4)
    ]
    timed = [{**row, "start": 2.0, "end": 7.5} for row in rows]
    as_json(tmp_path / "json" / "action_sequence.json", timed)
    reversed_rows = [{**row, "answer": CHOICES[3 - n]} for n, row in enumerate(rows)]
    as_json(tmp_path / "json" / "action_count.json", reversed_rows)
    frames = [{**row, "video": "scene", "start": 1.0, "end": 2.0} for row in rows[:1]]
    as_json(tmp_path / "json" / "episodic_reasoning.json", frames)
    for number in range(9):
        save(tmp_path / "video/tvqa/frames_fps3_hq/scene" / f"{number:05d}.jpg", number)
    path = video(tmp_path, "video/star/Charades_v1_480/0.mp4")
    asked = check_whole(mvbench.TASKS[0], tmp_path, shuffled=0.2)
    part = shown(asked[0])
    assert (part.source, part.start_seconds, part.end_seconds) == (path, 2.0, 7.5)
    letters = {"video": "0.mp4", "question": "Which letter?", "candidates": ["B", "C", "A"]}
    as_json(tmp_path / "json" / "character_order.json", [{**letters, "answer": "A"}])
    found = items(mvbench.TASKS[0], tmp_path)
    answers = [one.truth["answer"] for one in found if one.tags["task"] == "character_order"]
    assert answers == ["C"]
    assert words(asked[0]).endswith("(C) a cat\n(D) a dog\nOnly give the best option.")
    clip = next(shown(one) for one in asked if one.tags["task"] == "episodic_reasoning")
    assert [one.name for one in clip.source] == [f"0000{n}.jpg" for n in (3, 4, 5, 6)]
    for one in asked:
        shown(one).check()


def test_lvbench(tmp_path):
    task = lvbench.TASKS[0]
    rows = [
        {
            "uid": str(n),
            "video_path": "abc.mp4",
            "question": "Who?\n(A) an ape\n(B) a bee\n(C) a cat\n(D) a dog",
            "answer": "ABCD"[n],
            "question_type": ["reasoning", "entity recognition"],
            "time_reference": "00:01-00:05",
        }
        for n in range(4)
    ]
    parquet(tmp_path / "data" / "train-00000-of-00001.parquet", rows)
    path = video(tmp_path, "all_videos/abc.mp4")
    asked = check_whole(task, tmp_path, shuffled=0.0)
    assert asked[0].truth["choices"] == CHOICES
    assert asked[0].tags["kind"] == "entity recognition+reasoning"
    assert shown(asked[0]).source == path
    with pytest.raises(EvalError, match="lists no options"):
        lvbench.options_within("Who?")


def test_longvideobench(tmp_path):
    rows = [
        {
            "id": f"x_{n}",
            "video_path": "x.mp4",
            "question": "Who?",
            "candidates": [*CHOICES, "an eel"],
            "correct_choice": n,
            "duration_group": 600,
            "question_category": "T2E",
        }
        for n in range(4)
    ]
    as_json(tmp_path / "lvb_val.json", rows)
    video(tmp_path, "videos/x.mp4")
    asked = check_whole(longvideobench.TASKS[0], tmp_path, shuffled=0.0)
    assert "(A, B, C, D, or E)" in words(asked[0])


def test_egoschema(tmp_path):
    rows = [
        {
            "question_idx": str(n),
            "question": "What was it about?",
            "video_idx": f"v{n}",
            "option": LETTERED,
            "answer": str(n),
        }
        for n in range(4)
    ]
    parquet(tmp_path / "Subset" / "test-00000-of-00001.parquet", rows)
    asked = check_whole(egoschema.TASKS[0], tmp_path, shuffled=0.0)
    assert asked[2].truth == {"choices": CHOICES, "answer": "C", "oracle": "C"}


def test_mlvu(tmp_path):
    for stem in ("1_plotQA", "4_count"):
        rows = [
            {
                "video": f"{n}.mp4",
                "duration": 300,
                "question": "What?",
                "candidates": CHOICES,
                "answer": CHOICES[n if stem == "4_count" else 3 - n],
                "question_type": stem[2:],
            }
            for n in range(4)
        ]
        as_json(tmp_path / "json" / f"{stem}.json", rows)
    path = video(tmp_path, "video/4_count/1.mp4")
    asked = check_whole(mlvu.TASKS[0], tmp_path, shuffled=0.0)
    assert shown(asked[5]).source == path
    assert {item.tags["task"] for item in asked} == {"plotQA", "count"}


def test_tempcompass(tmp_path):
    task = tempcompass.TASKS[0]
    options = "What happens?\nA. falling\nB. rising\nC. turning"
    rows = {
        "multi-choice": [(options, "A. falling"), (options, "C. turning")],
        "yes_no": [("Does it fall?", "yes"), ("Does it rise?", "no")],
        "caption_matching": [
            ("Which fits?\nCaption 1: It falls.\nCaption 2: It rises.", "Caption 1: It falls."),
            ("Which fits?\nOption A: It turns.\nOption B: It stops.", "Option B: It stops."),
        ],
    }
    for form, pairs in rows.items():
        made = [
            {"video_id": str(n), "question": question, "answer": answer, "dim": "direction"}
            for n, (question, answer) in enumerate(pairs)
        ]
        parquet(tmp_path / form / "test-00000-of-00001.parquet", made)
    asked = check_whole(task, tmp_path, shuffled=0.4)
    assert words(asked[2]).endswith("Does it fall?\nPlease answer yes or no:")
    read = task.extractors[0].read
    truth = asked[0].truth
    for said, label in (("(B) rising", "B"), ("It is rising.", "B"), ("Blue", None), ("", None)):
        assert read(Answered(said, truth)) == label
    lettered = {"options": [["A", "yes"], ["B", "no"], ["C", "it depends"]]}
    for said, label in (
        *(("The answer is C.", "C"), (r"\boxed{B}", "B"), ("Answer: (a)", "A"), ('"B"', "B")),
        *(("A or C", None), ("I'm sorry, I can say nothing", None), ("B and C", None)),
    ):
        assert read(Answered(said, lettered)) == label
    assert read(Answered("No, it does not.", asked[2].truth)) == "no"
    assert read(Answered("It rises.", asked[4].truth)) == "Caption 2"
    assert read(Answered("<think>Caption 1?</think>Caption 2", asked[4].truth)) == "Caption 2"


@pytest.mark.parametrize(
    ("said", "label"),
    [
        ("The best option is Option 1: the dog is running", "Option 1"),
        ("The best option to describe it is Option 1: it runs. Option 2 does not fit.", "Option 1"),
        ("Option 2 is wrong. The best option is Option 1: a dog", "Option 1"),
        ("The best option is: The dog runs.\n\nIt never sits, as Option 2 says.", "Option 1"),
        ("The best option is Option 1, not Option 2.", "Option 1"),
        ("I would go for option 2 here", "Option 2"),
        ("**Option 2**", "Option 2"),
        *(("1", "Option 1"), ("2.", "Option 2"), ("Option 1: x, as Option 2 is wrong", "Option 1")),
        *(("Option 1 or Option 2", None), ("The best option is Option 12", None), ("3", None)),
        ("Neither Option 1 nor Option 2 fits", None),
        ("Neither of them: the dog sits", None),
    ],
)
def test_tempcompass_reads_options_that_are_named(said, label):
    options = {"options": [["Option 1", "The dog runs."], ["Option 2", "The dog sits."]]}
    assert tempcompass.TASKS[0].extractors[0].read(Answered(said, options)) == label


@pytest.mark.parametrize(
    ("said", "label"),
    [
        *(("{} does not match; {other} matches.", "{other}"), ("{} doesn't fit.", None)),
        *(("{} is not right, {other} is.", "{other}"), ("{} cannot be it", None)),
        *(("Not {}", None), ("not {}, but {other}", "{other}"), ("It is not the {}.", None)),
        *(("It can't be {}", None), ("**{}** is incorrect.", None), ("{} matches.", "{}")),
        *(("{other} matches, {} does not.", "{other}"), ("I choose {}, not {other}", "{}")),
    ],
)
@pytest.mark.parametrize("name", ["Caption", "Option", "Sentence"])
def test_tempcompass_reads_no_label_that_is_denied(said, label, name):
    one, two = f"{name} 1", f"{name} 2"
    options = {"options": [[one, "The dog runs."], [two, "The dog sits."]]}
    found = tempcompass.TASKS[0].extractors[0].read(Answered(said.format(one, other=two), options))
    assert found == (label and label.format(one, other=two))


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        *(
            ("There is no doubt: yes", "yes"),
            ("No doubt, yes.", "yes"),
            ("No doubt it falls", None),
        ),
        *(("Without question, no.", "no"), ("No question about it: yes", "yes"), ("Nope", None)),
        *(("Yes or no? I say no.", "no"), ("It has no wings, so yes.", "yes"), ("**No**", "no")),
        *(("No, yes would be wrong.", "no"), ("I say no because it rises", "no"), ("YES!", "yes")),
        *(
            ("There is no ball", "no"),
            ("Answer: No", "no"),
            ("It is falling, so the answer is yes", "yes"),
        ),
    ],
)
def test_tempcompass_reads_yes_and_no(said, answer):
    assert tempcompass.TASKS[0].extractors[0].read(Answered(said, {"options": []})) == answer


def test_tempcompass_captions(tmp_path):
    task = tempcompass_captions.TASKS[0]
    listed = "What happens?\nA. the ball is falling\nB. the ball is rising"
    rows = [
        {"video_id": str(n), "question": "Describe the motion.", "mc_question": listed}
        | {"mc_answer": answer, "dim": "direction"}
        for n, answer in enumerate(("A. the ball is falling", "B. the ball is rising"))
    ]
    parquet(tmp_path / "captioning" / "test-00000-of-00001.parquet", rows)
    asked = check_whole(task, tmp_path, shuffled=0.0)
    assert words(asked[0]) == "[]Describe the motion."
    assert "falling" not in words(asked[0])
    read, truth = task.extractors[0].read, asked[0].truth
    assert read(Answered("Look: The ball is falling fast.", truth)) == "A"
    assert read(Answered("the ball is falling, then the ball is rising", truth)) is None
    assert read(Answered("It drops.", truth)) is None
    assert read(Answered("The best option is Option B: it rises.", truth)) == "B"
    assert read(Answered("The answer is A.", truth)) == "A"
    assert read(Answered("A ball moves. B moves too", truth)) is None


def test_charades_sta(tmp_path):
    task = charades_sta.TASKS[0]
    rows = [
        {
            "video": f"{n}.mp4",
            "caption": "person sits down.",
            "timestamp": [30.0 * n, 30.0 * n + 5.5],
        }
        for n in range(4)
    ]
    parquet(tmp_path / "data" / "test-00000-of-00001.parquet", rows)
    path = video(tmp_path, "Charades_v1_480/0.mp4")
    asked = check_whole(task, tmp_path, shuffled=0.0)
    assert shown(asked[0]).source == path
    assert words(asked[0]) == (
        "[]Give the query: 'person sits down', when does the described content occur in the video?"
    )
    assert words(items(task, tmp_path, 1)[0]).endswith(
        "the textual sentence: person sits down.Please return its start time and end time."
    )
    scores = task.score([5, 15], {"span": [0, 10]})
    assert scores["iou"] == pytest.approx(1 / 3)
    assert [scores[f"r{level}"] for level in (0.3, 0.5, 0.7)] == [1.0, 0.0, 0.0]
    metrics = task.aggregate([Scored(item=asked[0], parsed=None, parts=scores)])
    assert metrics["recall@0.3"] == 1.0


@pytest.mark.parametrize(
    ("task", "name"),
    [
        (video_mme.TASKS[0], "test.jsonl"),
        (video_mmmu.TASKS[0], "Perception/test.jsonl"),
        (mvbench.TASKS[0], "json/action_count.json"),
        (lvbench.TASKS[0], "test.jsonl"),
        (longvideobench.TASKS[0], "val.jsonl"),
        (egoschema.TASKS[0], "test.jsonl"),
        (mlvu.TASKS[0], "json/4_count.json"),
        (tempcompass.TASKS[0], "multi-choice/test.jsonl"),
        (charades_sta.TASKS[0], "test.jsonl"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_missing_column_is_named(tmp_path, task, name):
    write = as_json if name.endswith(".json") else jsonl
    write(tmp_path / name, [{"strange": 1}])
    with pytest.raises(EvalError, match=r"no column .* Found: strange"):
        items(task, tmp_path)
