# SPDX-License-Identifier: Apache-2.0
"""Pages of our own that keep to the protocol of MiniWoB++, each a few lines: for tests of what plays them."""

from __future__ import annotations

from pathlib import Path

from finesight.evals.live.miniwob import Page

CORE = """
var core = {EPISODE_MAX_TIME: 10};
var WOB_RAW_REWARD_GLOBAL = 0, WOB_REWARD_GLOBAL = 0, WOB_REWARD_REASON = null, WOB_DONE_GLOBAL = false;
Math.seedrandom = (seed) => {
  let state = [...seed].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 2147483647, 7);
  Math.random = () => (state = (state * 48271) % 2147483647) / 2147483647;
};
core.randi = (least, most) => Math.floor(Math.random() * (most - least) + least);
core.getUtterance = () => document.getElementById("query").textContent;
core.startEpisodeReal = () => {
  genProblem();
  WOB_DONE_GLOBAL = false;
  setTimeout(() => core.endEpisode(-1, "timed out"), core.EPISODE_MAX_TIME);
};
core.endEpisode = (reward, reason) => {
  if (WOB_DONE_GLOBAL) return;
  WOB_DONE_GLOBAL = true;
  WOB_RAW_REWARD_GLOBAL = reward;
  WOB_REWARD_GLOBAL = reward / 2;
  WOB_REWARD_REASON = reason ?? null;
};
"""

HEAD = """<!doctype html><html><head><script src="../core/core.js"></script><style>
body { margin: 0; font: 12px sans-serif; } #wrap { width: 160px; height: 210px; background: white; }
button { position: absolute; width: 40px; height: 20px; border: 0; padding: 0; }
input { position: absolute; left: 10px; top: 60px; width: 100px; }
</style>
"""

CLICK = (
    HEAD
    + """<script>
var genProblem = () => {
  const wanted = core.randi(0, 2);
  for (const [place, button] of [...document.querySelectorAll("button")].entries()) {
    button.style.left = core.randi(0, 110) + "px";
    button.style.top = 50 + place * 60 + core.randi(0, 30) + "px";
    button.onclick = () => core.endEpisode(place === wanted ? 0.5 : -1, "clicked " + place);
  }
  document.getElementById("query").textContent = "Click on " + ["ONE", "TWO"][wanted] + ".";
};
</script></head><body><div id="wrap"><div id="query"></div><button>ONE</button><button>TWO</button></div></body></html>
"""
)

TYPE = (
    HEAD
    + """<script>
var genProblem = () => {
  const word = ["apple", "river", "stone"][core.randi(0, 3)];
  document.getElementById("query").textContent = "Type " + word + " and press Enter.";
  document.querySelector("input").onkeydown = (event) => {
    if (event.key === "Enter") core.endEpisode(event.target.value === word ? 1 : -1);
  };
};
</script></head><body><div id="wrap"><div id="query"></div><input></div></body></html>
"""
)

SOLUTIONS = """
(() => {
  const field = () => document.querySelector("input");
  const word = () => core.getUtterance().split(" ")[1];
  window.finesightSolve = (page) => {
    if (page !== "type-word") return null;
    if (document.activeElement !== field()) {
      const box = field().getBoundingClientRect();
      return {kind: "left_click", at: [box.left + 5, box.top + 5]};
    }
    if (field().value !== word()) return {kind: "type", text: word()};
    return {kind: "key", keys: ["Return"]};
  };
})()
"""

PAGES = {
    "click-two": Page(name="click-two", family="click", probe="button"),
    "type-word": Page(name="type-word", family="form"),
}


def write_pages(folder: Path) -> Path:
    """Write pages and their solutions; gives the folder of a copy."""
    (folder / "core").mkdir(parents=True)
    (folder / "core" / "core.js").write_text(CORE, encoding="utf-8")
    (folder / "miniwob").mkdir()
    for name, content in (("click-two", CLICK), ("type-word", TYPE)):
        (folder / "miniwob" / f"{name}.html").write_text(content, encoding="utf-8")
    (folder / "solutions.js").write_text(SOLUTIONS, encoding="utf-8")
    return folder
