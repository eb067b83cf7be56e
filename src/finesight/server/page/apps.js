// SPDX-License-Identifier: Apache-2.0
// The mode "Applications": one file, one application, and its result beside the page or picture.

import { appResult } from "./api.js";
import { RESULTS } from "./results.js";
import { forget, readFile } from "./media.js";
import { settings } from "./settings.js";
import { clearAnswer, setAnswer, setFigures } from "./viewer.js";

const SCHEMA = {
  type: "object",
  properties: {
    invoice_number: { type: "string" },
    date: { type: "string", format: "date" },
    total: { type: "number" },
  },
};
const APPS = [
  ["read", "Read", "A PDF or a picture of a page as Markdown, with the place of each block."],
  ["extract", "Extract", "The values of a JSON Schema, each with its place, status and score."],
  ["locate", "Locate", "The places of what a phrase describes. What is not there is said to be absent."],
  ["describe-screen", "Describe screen", "The controls and texts of a screenshot, in reading order."],
];

const element = (id) => document.getElementById(id);
let chosen = null; // the file
let name = "read";
let running = null; // what aborts the request

export function isOn() {
  return !element("apps").hidden;
}

// Takes the last of some files.
export async function add(files) {
  if (running || !files.length) return;
  showProblem("");
  try {
    const read = await readFile(files.at(-1), settings());
    if (read.kind === "video") throw new Error(`${read.name} is a video; applications take pictures and PDFs.`);
    await measure(read);
    if (chosen) forget(chosen);
    chosen = read;
  } catch (error) {
    showProblem(error.message);
    return;
  }
  element("app-chosen").textContent = chosen.name;
  showFile();
}

// Prepares the mode; `onTalk` shows the conversation again.
export function start(onTalk) {
  const mode = (isApps) => {
    element("apps").hidden = !isApps;
    for (const id of ["talk", "clear"]) element(id).hidden = isApps;
    element("mode-apps").setAttribute("aria-pressed", isApps);
    element("mode-talk").setAttribute("aria-pressed", !isApps);
    if (isApps) {
      showFile();
    } else {
      clearAnswer();
      onTalk();
    }
  };
  element("mode-apps").addEventListener("click", () => mode(true));
  element("mode-talk").addEventListener("click", () => mode(false));
  element("app-names").append(...APPS.map(([app, label]) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.dataset.app = app;
    button.addEventListener("click", () => choose(app));
    return button;
  }));
  element("app-schema").value = JSON.stringify(SCHEMA, null, 2);
  choose(name);
}

function choose(app) {
  if (running) return;
  name = app;
  for (const button of element("app-names").children) button.setAttribute("aria-pressed", button.dataset.app === app);
  for (const field of document.querySelectorAll("[data-for]")) field.hidden = field.dataset.for !== app;
  element("app-about").textContent = APPS.find(([each]) => each === app)[2];
  if (isOn()) clear();
}

// The size of a picture, to whose pixels the places of a result refer; a PDF's pages have theirs.
async function measure(file) {
  if (file.kind !== "image") return;
  const image = new Image();
  image.src = file.figures[0].source;
  try {
    await image.decode();
    file.figures[0].size = [image.naturalWidth, image.naturalHeight];
  } catch {
    // A form that this browser does not know: the model may know it, and the caption of the figure says so.
  }
}

// The path, the files and `body(urlOf)` of the request that "Run" would send; null, with the reason on the page, if it
// would send none.
export function asCode(options) {
  showProblem("");
  try {
    if (!chosen) throw new Error("Choose a file first.");
    request(options, chosen.url);
    return { path: `/v1/apps/${name}`, files: [chosen], body: (urlOf) => request(options, urlOf(chosen)) };
  } catch (error) {
    showProblem(error.message);
    return null;
  }
}

// The body of the request, with the address of the file's data.
function request(options, url) {
  const body = { model: options.model, file_data: url, filename: chosen.name };
  if (options.maxPixels !== null) body.max_pixels = options.maxPixels;
  if (chosen.pages && (name === "read" || name === "extract")) body.pages = chosen.pages;
  if (name === "extract") body.schema = schema();
  if (name === "locate") {
    body.phrase = element("app-phrase").value.trim();
    body.all = element("app-all").checked;
    body.count = element("app-count").checked;
    if (!body.phrase) throw new Error("Say what to find, such as: red circle");
  }
  return body;
}

function schema() {
  try {
    return JSON.parse(element("app-schema").value);
  } catch (error) {
    throw new Error(`The schema is not JSON: ${error.message}`);
  }
}

async function run() {
  if (running) return;
  showProblem("");
  clear();
  const started = performance.now();
  try {
    if (!chosen) throw new Error("Choose a file first.");
    const options = settings();
    const body = request(options, chosen.url);
    running = new AbortController();
    showRunning();
    const found = await appResult(name, body, options.key, running.signal);
    const { items, blocks, shown } = RESULTS[name](found, chosen.figures);
    element("app-result").replaceChildren(...shown);
    setAnswer(items, blocks, chosen.figures.map((figure) => {
      const [width, height] = figure.size ?? [0, 0];
      return { original: { width, height } };
    }));
    element("app-state").textContent = `${((performance.now() - started) / 1000).toFixed(1)} s`;
  } catch (error) {
    if (error.name === "AbortError") {
      element("app-state").textContent = "stopped";
    } else {
      showProblem(error.message);
      element("app-state").textContent = "";
      if (error.status === 401) element("settings").showModal();
    }
  } finally {
    running = null;
    showRunning();
  }
}

// Shows the first page: a figure that is shown stays when others come.
function showFile() {
  setFigures(chosen ? chosen.figures.slice(0, 1) : []);
  clear();
}

function clear() {
  element("app-result").replaceChildren();
  element("app-state").textContent = "";
  clearAnswer();
  setFigures(chosen ? chosen.figures : []);
}

function showRunning() {
  const isRunning = running !== null;
  if (isRunning) element("app-state").textContent = "working ...";
  element("app-stop").hidden = !isRunning;
  for (const id of ["app-run", "mode-talk", "app-file"]) element(id).disabled = isRunning;
  for (const button of element("app-names").children) button.disabled = isRunning;
}

function showProblem(message) {
  element("app-problem").textContent = message;
  element("app-problem").hidden = !message;
}

element("app-form").addEventListener("submit", (event) => {
  event.preventDefault();
  run();
});
element("app-file").addEventListener("change", (event) => {
  add([...event.target.files]);
  event.target.value = "";
});
element("app-stop").addEventListener("click", () => running?.abort());
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !document.querySelector("dialog[open]")) running?.abort();
});
