// SPDX-License-Identifier: Apache-2.0
// The page as a whole: settings, files, questions.

import * as apps from "./apps.js";
import { chatChunks } from "./api.js";
import { curlCommand, plainProgram, pythonProgram } from "./code.js";
import "./examples.js";
import { itemsOf } from "./findings.js";
import { Live } from "./live.js";
import { forget, partOf, readFile } from "./media.js";
import { loadModels, sampling, settings } from "./settings.js";
import { clearTurns, fileChip, TurnView } from "./turns.js";
import { clearAnswer, setAnswer, setFigures } from "./viewer.js";

const element = (id) => document.getElementById(id);
const question = element("question");
let turns = []; // { text, files, answer } of each finished turn, without those about live video
let attached = []; // files that go with the next question
let running = null; // { turn, control } of the answer that is being written
const live = new Live(
  (text) => { element("live-state").textContent = text; },
  (message) => {
    showProblem(message);
    showLive();
  },
);

// The body of a request for the turns so far and the next one.
function request(next, options, urlOf = (file) => file.url) {
  const user = ({ text, files }) => ({
    role: "user",
    content: [...files.map((file) => partOf(file, options, urlOf(file))), { type: "text", text }],
  });
  const earlier = turns.flatMap((turn) => [user(turn), { role: "assistant", content: turn.answer }]);
  return {
    model: options.model,
    messages: [...earlier, user(next)],
    ...sampling(options),
    stream: true,
    stream_options: { include_usage: true },
  };
}

async function ask() {
  const text = question.value.trim();
  if (running || !text) return;
  const options = settings();
  const isLive = live.isOn;
  const next = { text, files: isLive ? [] : attached, answer: "" };
  const view = new TurnView(text, next.files);
  const control = new AbortController();
  const chunks = isLive
    ? live.chunks(sampling(options), text, control.signal)
    : chatChunks(request(next, options), options.key, control.signal);
  question.value = "";
  if (!isLive) attached = [];
  running = { turn: next, control };
  showProblem("");
  clearAnswer();
  refresh();
  const started = performance.now();
  let last = {};
  let counted = {};
  try {
    for await (const chunk of chunks) {
      const choice = chunk.choices[0];
      if (chunk.usage) counted = chunk.usage;
      if (!choice) continue;
      next.answer += choice.delta.content ?? "";
      view.add(choice.delta.content ?? "");
      if (choice.finish_reason) last = { ...choice, media: chunk.media };
    }
  } catch (error) {
    if (error.name !== "AbortError") {
      view.remove();
      question.value = text;
      if (!isLive) attached = next.files;
      showProblem(error.message);
      if (error.status === 401) element("settings").showModal();
      return;
    }
    last = { finish_reason: "stopped" };
  } finally {
    running = null;
    refresh();
  }
  if (!view.element.isConnected) return; // the conversation was cleared meanwhile
  if (!isLive) turns.push(next);
  finish(view, last, counted, (performance.now() - started) / 1000, isLive);
  refresh();
}

function finish(view, { finish_reason: reason, finesight, media }, usage, seconds, isLive) {
  const reasons = { length: "cut at the longest length", stopped: "stopped", cancelled: "stopped" };
  const tokens = usage.completion_tokens === undefined ? [] : [
    `${usage.completion_tokens} tokens`,
    `${usage.prompt_tokens_details.visual_tokens} visual tokens`,
  ];
  const facts = [`${seconds.toFixed(1)} s`, ...tokens, ...(reasons[reason] ? [reasons[reason]] : [])].join(" · ");
  if (!finesight) {
    view.finish(facts, [], null);
    return;
  }
  const { items, blocks } = itemsOf(finesight);
  const show = () => setAnswer(items, blocks, media);
  const notes = [
    ...finesight.notes,
    ...finesight.problems.map((problem) => problem.message),
    ...media.flatMap((each) => each.notes),
  ];
  view.finish(facts, notes, !isLive && (items.length || blocks) ? show : null); // the camera goes on meanwhile
  show();
}

async function add(files) {
  if (apps.isOn()) return apps.add(files);
  showProblem("");
  for (const file of files) {
    try {
      attached.push(await readFile(file, settings()));
    } catch (error) {
      showProblem(error.message);
    }
    refresh();
  }
  question.focus();
}

function refresh() {
  const chips = attached.map((file) => fileChip(file, () => {
    attached = attached.filter((each) => each !== file);
    forget(file);
    refresh();
  }));
  element("attached").replaceChildren(...chips);
  const files = [...turns, ...(running ? [running.turn] : []), { files: attached }].flatMap((turn) => turn.files);
  setFigures(live.isOn ? [live.figure] : files.flatMap((file) => file.figures));
  element("send").hidden = running !== null;
  element("stop").hidden = running === null;
  element("mode-apps").disabled = running !== null || live.isOn;
}

async function toggleCamera() {
  showProblem("");
  if (live.isOn) {
    live.stop();
  } else {
    try {
      await live.start(settings());
    } catch (error) {
      showProblem(error.message);
    }
  }
  showLive();
}

function showLive() {
  element("camera").setAttribute("aria-pressed", live.isOn);
  element("camera").textContent = live.isOn ? "Stop camera" : "Camera";
  clearAnswer();
  refresh();
}

function showProblem(message) {
  element("problem").textContent = message;
  element("problem").hidden = !message;
}

function clear() {
  running?.control.abort();
  for (const file of [...turns.flatMap((turn) => turn.files), ...attached]) forget(file);
  [turns, attached] = [[], []];
  clearTurns();
  clearAnswer();
  showProblem("");
  refresh();
}

function showCode() {
  const options = settings();
  const earlier = turns;
  const code = apps.isOn() ? apps.asCode(options) : chatCode(options);
  if (!code) return;
  const given = [code.body, code.files, options.key !== "", code.path];
  element("code-needs").hidden = apps.isOn();
  element("curl").textContent = curlCommand(...given);
  element("python").textContent = apps.isOn() ? plainProgram(...given) : pythonProgram(...given);
  turns = earlier;
  element("code").showModal();
}

function chatCode(options) {
  const text = question.value.trim();
  // Without a new question, the request is that of the last turn.
  const next = text || attached.length || !turns.length ? { text: text || "Read all the text in the image.", files: attached } : turns.at(-1);
  turns = turns.filter((turn) => turn !== next);
  const files = [...turns, next].flatMap((turn) => turn.files);
  return { body: (urlOf) => request(next, options, urlOf), files };
}

element("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
question.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    ask();
  }
});
element("files").addEventListener("change", (event) => {
  add([...event.target.files]);
  event.target.value = "";
});
addEventListener("paste", (event) => {
  const files = [...event.clipboardData.files];
  if (files.length) event.preventDefault();
  add(files);
});
addEventListener("dragover", (event) => {
  event.preventDefault();
  element("drop").hidden = false;
});
addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) element("drop").hidden = true;
});
addEventListener("drop", (event) => {
  event.preventDefault();
  element("drop").hidden = true;
  add([...event.dataTransfer.files]);
});
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !document.querySelector("dialog[open]")) running?.control.abort();
});
element("stop").addEventListener("click", () => running?.control.abort());
element("clear").addEventListener("click", clear);
element("camera").addEventListener("click", toggleCamera);
element("open-code").addEventListener("click", showCode);
element("key").addEventListener("change", () => loadModels(showProblem));
apps.start(refresh);
loadModels(showProblem);
