# SPDX-License-Identifier: Apache-2.0
"""MiniWoB++ pages: seeded, free of the clock, paid by their own code, solved by looking at their source."""

from __future__ import annotations

import hashlib
import os
from contextlib import closing
from pathlib import Path

import pytest

from finesight.errors import ActionRefused, EvalError, ScreenUnavailable
from finesight.evals.core.registry import task
from finesight.evals.core.run import run
from finesight.evals.core.task import Task
from finesight.evals.live.baselines import baseline
from finesight.evals.live.miniwob import MiniWob, pages_folder, read_pages
from finesight.evals.live.play import Player
from finesight.evals.report.report import write_report
from finesight.evals.tasks.screens.episodes import (
    ACTS,
    NUM_SEEDS,
    aggregate_miniwob,
    episode,
    score_miniwob,
)
from finesight.evals.tasks.shared.questions import prompts
from finesight.geometry import Box, Point, Size
from finesight.screen.act import Act
from tests.support.miniwob_pages import PAGES, write_pages
from tests.support.pages import needs_browser

REAL = Path(os.environ.get("FINESIGHT_REAL_DATA", "")) / "miniwob"
SEEDS = range(4)


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    return write_pages(tmp_path_factory.mktemp("miniwob"))


@pytest.fixture(scope="module")
def shared(copy):
    with closing(MiniWob(copy, pages=PAGES, solutions=copy / "solutions.js")) as environment:
        yield environment


def digest(observation):
    return hashlib.sha256(observation.screenshot.tobytes()).hexdigest()


def click_two(seed):
    return {"page": "click-two", "seed": seed}


@needs_browser
def test_one_seed_is_one_episode_and_another_is_another(shared):
    first, again, other = (shared.reset(click_two(seed)) for seed in (1, 1, 2))
    assert first.screenshot.size == (320, 420)
    assert (digest(first), first.targets) == (digest(again), again.targets)
    assert digest(other) != digest(first)


@needs_browser
def test_time_decides_nothing(shared):
    shared.reset(click_two(0))  # the page's own limit is ten milliseconds
    shared.act(Act(kind="wait", seconds=0.2))
    assert not shared.observe().is_over


@needs_browser
def test_the_element_that_pays_is_found_without_ending_the_episode(shared):
    for seed in SEEDS:
        seen = shared.reset(click_two(seed))
        assert not seen.is_over
        (target,) = seen.targets
        assert (target.width, target.height) == (80, 40)
        shared.act(Act(kind="left_click", point=target.center))
        assert shared.observe().is_over
        outcome = shared.evaluate()
        assert outcome.score == 1.0
        # the reward before it is reduced for the time taken
        assert outcome.facts["raw_reward"] == 0.5


@needs_browser
def test_a_wrong_click_ends_it_without_pay_and_none_leaves_it_open(shared):
    (target,) = shared.reset(click_two(0)).targets
    assert shared.evaluate().score == 0.0
    wrong = next(box for box in shared._browser.boxes("button") if box != target)
    shared.act(Act(kind="left_click", point=wrong.center))
    assert shared.observe().is_over
    assert (shared.evaluate().score, shared.evaluate().facts["raw_reward"]) == (0.0, -1)


@needs_browser
def test_a_solution_is_asked_step_by_step(shared):
    seen = shared.reset({"page": "type-word", "seed": 3})
    assert seen.targets == ()
    kinds = []
    while not shared.observe().is_over:
        step = shared.solution()
        kinds.append(step.kind)
        shared.act(step)
    assert kinds == ["left_click", "type", "key"]
    assert shared.evaluate().score == 1.0


@needs_browser
def test_steps_that_a_page_does_not_know_are_refused(shared):
    shared.reset(click_two(0))
    for act, said in (
        (Act(kind="left_click", point=Point(320, 10)), r"outside the screen of 320 x 420"),
        (Act(kind="left_click", point=Point(-1, 10)), r"outside the screen"),
        (Act(kind="left_click"), "has no point"),
        (Act(kind="left_click_drag", point=Point(1, 1)), "has not been moved"),
        (Act(kind="swipe"), "step 'swipe' is not possible"),
        (Act(kind="key", keys=("hyper",)), "key 'hyper'"),
    ):
        with pytest.raises(ActionRefused, match=said):
            shared.act(act)


@needs_browser
def test_a_click_without_a_place_means_where_the_mouse_is(shared):
    (target,) = shared.reset(click_two(0)).targets
    shared.act(Act(kind="mouse_move", point=target.center))
    shared.act(Act(kind="left_click"))
    assert shared.evaluate().score == 1.0


@needs_browser
def test_a_browser_that_broke_is_started_again(copy):
    with closing(MiniWob(copy, pages=PAGES, solutions=copy / "solutions.js")) as environment:
        before = environment.reset(click_two(0))
        environment._browser.close()
        with pytest.raises(ScreenUnavailable, match="no task is set up"):
            environment.observe()
        assert digest(environment.reset(click_two(0))) == digest(before)


def own_task() -> Task:
    """The benchmark with our pages in the place of its own."""

    def episodes(folder):
        for seed in SEEDS:
            for page in PAGES.values():
                tags = {"page": page.name, "family": page.family}
                tags["target"] = "known" if page.has_target else "unknown"
                config = {"page": page.name, "seed": seed}
                yield episode(f"{page.name}/{seed}", page.name, config, tags)

    return Task(
        name="miniwob",
        title="ours",
        source="tests",
        layout="pages",
        prompts=prompts(episodes, ACTS),
        extractors=task("miniwob").extractors,
        score=score_miniwob,
        aggregate=aggregate_miniwob,
        main="success",
        is_live=True,
    )


def played(environment, kind, copy, folder, benchmark, steps=6):
    player = Player(
        inner=baseline(kind, environment, environment.screen),
        environment=environment,
        space="original",
        most_steps=steps,
        screens=folder / "screens",
    )
    items = benchmark.prompts[0].items(copy, benchmark.budget)
    return run(
        benchmark, benchmark.prompts[0], items, player, folder=folder, space="original"
    ).result


@needs_browser
def test_who_knows_the_source_wins_all_and_who_clicks_anywhere_little(shared, copy, tmp_path):
    benchmark = own_task()
    oracle = played(shared, "oracle", copy, tmp_path / "oracle", benchmark)
    assert (oracle.metrics["success"], oracle.metrics["point_in_box"]) == (1.0, 1.0)
    # one of the two pages pays 0.5
    assert oracle.metrics["full_reward"] == 0.5
    anywhere = played(shared, "random", copy, tmp_path / "random", benchmark, steps=2)
    assert anywhere.value < 0.5
    again = played(shared, "random", copy, tmp_path / "again", benchmark, steps=2)
    assert again.metrics == anywhere.metrics


@needs_browser
def test_the_report_draws_the_click_and_the_target(shared, copy, tmp_path):
    benchmark = own_task()
    played(shared, "constant", copy, tmp_path / "miniwob", benchmark, steps=1)
    write_report(tmp_path / "report.html", [tmp_path / "miniwob"])
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("<img") == 8
    assert "clicks on the middle" in page


def test_a_first_click_is_measured_against_what_the_page_says():
    truth = {"episode": "click-two/0"}
    parsed = {"episode": "click-two/0", "score": 0.0, "facts": {"raw_reward": 0}}
    parsed |= {"targets": [[0, 0, 10, 10], [20, 20, 30, 30]], "point": [25, 25]}
    assert score_miniwob(parsed, truth) == {"success": 0.0, "full": 0.0, "in_box": 1.0}
    assert score_miniwob({**parsed, "point": [15, 15]}, truth)["in_box"] == 0.0
    assert score_miniwob({**parsed, "point": None}, truth)["in_box"] == 0.0
    assert score_miniwob(parsed, {"episode": "other"})["in_box"] == 0.0
    won = {**parsed, "score": 1.0, "facts": {"raw_reward": 0.4}, "targets": []}
    assert score_miniwob(won, truth) == {"success": 1.0, "full": 0.0, "in_box": 1.0}
    assert score_miniwob(None, truth) == {"success": 0.0, "full": 0.0, "in_box": 0.0}


def test_a_folder_without_pages_is_named(tmp_path, copy):
    with pytest.raises(EvalError, match="holds no pages of MiniWoB"):
        pages_folder(tmp_path)
    assert pages_folder(copy) == pages_folder(copy / "miniwob") == copy / "miniwob"


def test_thirty_pages_are_listed_half_of_them_decided_by_one_click():
    pages = read_pages()
    assert len(pages) == 30
    assert sum(page.has_target for page in pages.values()) == 15
    assert {page.family for page in pages.values()} == {"click", "look", "select", "form", "drag"}


def test_pages_that_a_copy_lacks_are_broken_rows(copy):
    benchmark = task("miniwob")
    items = list(benchmark.prompts[0].items(copy, benchmark.budget))
    assert len(items) == 30 * NUM_SEEDS
    assert items[0].truth == {"broken_row": f"there is no click-test.html in {copy / 'miniwob'}"}


@pytest.mark.real_data
@pytest.mark.skipif(not REAL.is_dir(), reason="no folder miniwob in FINESIGHT_REAL_DATA")
@needs_browser
def test_every_real_page_can_be_solved_and_pays(tmp_path):
    with closing(MiniWob(REAL)) as environment:
        oracle = played(environment, "oracle", REAL, tmp_path / "o", task("miniwob"), steps=10)
        assert environment.screen == Size(320, 420)
        seen = environment.reset({"page": "click-test-2", "seed": 0})
        assert isinstance(seen.targets[0], Box)
    assert oracle.n == 150
    assert (oracle.metrics["success"], oracle.metrics["point_in_box"]) == (1.0, 1.0)
    assert oracle.errors == {}
