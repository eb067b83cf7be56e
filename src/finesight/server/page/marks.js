// SPDX-License-Identifier: Apache-2.0
// Boxes and points over a picture or a video, and the events of a video on a timeline.

import { clock, coloured, linked } from "./findings.js";

const SVG = "http://www.w3.org/2000/svg";
const POINT_RADIUS = 7;

// Draws the marks of one figure. `size` is [width, height] of the original, whose pixels the marks refer to.
export function drawMarks(frame, items, size) {
  for (const old of frame.querySelectorAll("svg, .tag")) old.remove();
  if (!size || !items.length || !frame.clientWidth) return; // drawn again when the picture is loaded
  const [width, height] = size;
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
  drawing.setAttribute("preserveAspectRatio", "none");
  drawing.setAttribute("aria-hidden", "true"); // the list of findings has the same, and can be read
  frame.append(drawing);
  for (const item of items) {
    const shape = item.box ? rectangle(item.box) : circle(item.point, POINT_RADIUS * (width / frame.clientWidth));
    shape.classList.add("mark");
    drawing.append(linked(coloured(shape, item), item));
    if (item.kind !== "block" && item.label && !item.isQuiet) frame.append(tag(item, size));
  }
}

function rectangle([left, top, right, bottom]) {
  const shape = document.createElementNS(SVG, "rect");
  const values = { x: left, y: top, width: right - left, height: bottom - top };
  for (const [name, value] of Object.entries(values)) shape.setAttribute(name, value);
  return shape;
}

function circle([x, y], radius) {
  const shape = document.createElementNS(SVG, "circle");
  for (const [name, value] of Object.entries({ cx: x, cy: y, r: radius })) shape.setAttribute(name, value);
  return shape;
}

// The label stands above its box; at the upper edge of the picture, inside of it.
function tag(item, [width, height]) {
  const made = document.createElement("span");
  made.className = "tag";
  made.textContent = item.label;
  made.setAttribute("aria-hidden", "true");
  const [x, y] = item.box ?? item.point;
  const isHigh = y < height / 12;
  made.style.left = `${(100 * x) / width}%`;
  made.style.top = `${(100 * y) / height}%`;
  made.style.transform = item.point ? "translate(12px, -50%)" : isHigh ? "none" : "translateY(-100%)";
  return coloured(made, item);
}

// Shows events below a video; a click seeks it.
export function drawTimeline(bar, video, events) {
  const duration = video.duration;
  bar.hidden = !events.length || !Number.isFinite(duration) || duration <= 0;
  bar.replaceChildren();
  if (bar.hidden) return;
  bar.style.width = `${video.clientWidth}px`;
  const place = (seconds) => `${(100 * Math.min(Math.max(seconds, 0), duration)) / duration}%`;
  for (const item of events) {
    const [start, end] = item.seconds;
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = item.label;
    made.setAttribute("aria-label", `${item.label || "event"}, ${item.where}; go there`);
    made.style.left = place(start);
    made.style.width = place(end - start);
    made.addEventListener("click", (click) => {
      click.stopPropagation();
      seek(video, start);
    });
    bar.append(linked(coloured(made, item), item));
  }
  const now = document.createElement("div");
  now.id = "now";
  bar.append(now);
  const follow = () => { now.style.left = place(video.currentTime); };
  video.ontimeupdate = follow;
  video.onseeked = follow;
  follow();
  bar.title = `0:00 – ${clock(duration)}`;
  bar.onclick = (click) => seek(video, (duration * click.offsetX) / bar.clientWidth);
}

export function seek(video, seconds) {
  video.currentTime = seconds;
}
