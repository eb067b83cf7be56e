// SPDX-License-Identifier: Apache-2.0
// The right half of the page: the figures of the conversation, one at a time, with what an answer found in them.

import { showDocument } from "./document.js";
import { coloured, linked } from "./findings.js";
import { drawMarks, drawTimeline, seek } from "./marks.js";

const SMALL_PIXELS = 400; // pictures with shorter sides are enlarged
const ENLARGED_HEIGHT = 60; // in hundredths of the window's height

const element = (id) => document.getElementById(id);
const [strip, figure, frame, timeline, caption, page, list, title, nothing] = [
  "strip", "figure", "frame", "timeline", "caption", "document", "found", "found-title", "nothing",
].map(element);

let figures = [];
let current = -1;
let answer = { items: [], blocks: null, sizes: [] };

// Shows other figures; the one that is shown stays if it is among them.
export function setFigures(next) {
  const shown = figures[current];
  figures = next;
  strip.replaceChildren(...figures.map((each, index) => tab(each, index)).filter(Boolean));
  strip.hidden = strip.childElementCount < 2;
  const kept = figures.indexOf(shown);
  if (kept >= 0) current = kept;
  if (kept < 0) show(figures.findLastIndex((each) => each.kind !== "hidden"));
  markTabs();
}

// Shows what was found in an answer. `media` is the field of that name, whose order is that of the figures.
export function setAnswer(items, blocks, media) {
  const sizes = media.map((each) => [each.original.width, each.original.height]);
  answer = { items, blocks, sizes };
  const placed = items.filter((item) => item.figure !== null).map((item) => item.figure);
  if (placed.length && !placed.includes(current)) show(placed[0]);
  page.hidden = blocks === null;
  if (blocks !== null) showDocument(page, blocks, items);
  const listed = items.filter((item) => item.kind !== "block");
  title.hidden = listed.length === 0;
  list.replaceChildren(...listed.map(entry));
  draw();
}

export function clearAnswer() {
  setAnswer([], null, []);
}

function tab(shown, index) {
  if (shown.kind === "hidden") return null;
  const made = document.createElement("button");
  made.type = "button";
  made.role = "tab";
  made.dataset.figure = index;
  made.textContent = shown.title;
  made.addEventListener("click", () => show(index));
  return made;
}

function show(index) {
  current = index;
  const shown = figures[index];
  figure.hidden = !shown;
  nothing.hidden = Boolean(shown);
  frame.replaceChildren();
  frame.style.width = "";
  timeline.hidden = true;
  caption.textContent = shown ? shown.title : "";
  markTabs();
  if (!shown) return;
  const medium = document.createElement(shown.kind === "image" ? "img" : "video");
  const loaded = () => {
    const [width, height] = [medium.naturalWidth ?? medium.videoWidth, medium.naturalHeight ?? medium.videoHeight];
    const isSmall = width < SMALL_PIXELS && height < SMALL_PIXELS;
    frame.classList.toggle("enlarged", isSmall);
    frame.style.width = isSmall ? `min(100%, 36rem, ${(ENLARGED_HEIGHT * width) / height}vh)` : "";
    draw();
  };
  if (shown.kind === "image") {
    medium.alt = shown.title;
    medium.onload = loaded;
    medium.onerror = () => { caption.textContent = `${shown.title} cannot be shown by this browser; the model can see it.`; };
    medium.src = shown.source;
  } else {
    medium.setAttribute("aria-label", shown.title);
    medium.muted = true;
    medium.onloadedmetadata = loaded;
    medium.controls = shown.kind === "video";
    if (shown.kind === "live") {
      medium.srcObject = shown.stream;
      medium.autoplay = true;
    } else {
      medium.src = shown.source;
    }
  }
  frame.append(medium);
}

function markTabs() {
  for (const each of strip.children) each.setAttribute("aria-selected", Number(each.dataset.figure) === current);
}

function draw() {
  const here = answer.items.filter((item) => item.figure === current);
  drawMarks(frame, here.filter((item) => item.box || item.point), answer.sizes[current]);
  const video = frame.querySelector("video");
  if (video && video.controls) drawTimeline(timeline, video, here.filter((item) => item.seconds));
}

function entry(item) {
  const button = document.createElement("button");
  button.type = "button";
  const swatch = document.createElement("span");
  swatch.className = "swatch";
  const label = document.createElement("span");
  label.textContent = item.label || item.kind;
  const where = document.createElement("span");
  where.className = "where";
  where.textContent = item.where;
  button.append(swatch, label, where);
  button.addEventListener("click", () => {
    if (item.figure !== null && item.figure !== current) show(item.figure);
    const video = frame.querySelector("video");
    if (item.seconds && video && video.controls) seek(video, item.seconds[0]);
  });
  const row = document.createElement("li");
  row.append(linked(coloured(button, item), item));
  return row;
}

// The arrow keys move between the tabs.
strip.addEventListener("keydown", (key) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[key.key];
  const next = step && [...strip.children][[...strip.children].indexOf(document.activeElement) + step];
  if (next) {
    next.focus();
    next.click();
  }
});
addEventListener("resize", draw);
