// SPDX-License-Identifier: Apache-2.0
// What was found in an answer, as items of one form: boxes, points, events, and the blocks of a document.
//
// An item has `id`, `kind`, `label`, `where` (text), `figure` (index of a figure or null), `colour`, and one of `box`
// [x1, y1, x2, y2], `point` [x, y] (original pixels) and `seconds` [start, end]. With `isQuiet` its label is not drawn.

const COLOURS = ["#0d74ce", "#b5179e", "#18794e", "#c2410c", "#6d3fc4", "#d6322f", "#0e7c86", "#7a5c00"];
const INK = "#ffffff";

// An empty list of items, and what adds one to it and returns its id.
export function newItems() {
  const items = [];
  const add = (kind, item) => {
    const id = `${kind}-${items.length}`;
    items.push({ id, kind, colour: COLOURS[items.length % COLOURS.length], ...item });
    return id;
  };
  return { items, add };
}

// `found` is the field `finesight` of a choice.
export function itemsOf(found) {
  const { items, add } = newItems();
  for (const { box, label, media_index: figure } of found.boxes) {
    add("box", { label, figure, box, where: box ? rounded(box) : "in an unknown picture" });
  }
  for (const { point, label, media_index: figure } of found.points) {
    add("point", { label, figure, point, where: point ? rounded(point) : "in an unknown picture" });
  }
  for (const event of found.events) {
    const seconds = event.start_seconds === null ? null : [event.start_seconds, event.end_seconds];
    const where = seconds ? span(seconds) : "in an unknown video";
    add("event", { label: event.label, figure: event.media_index, seconds, where });
  }
  const blockItem = (block) => add("block", {
    label: block.kind.replaceAll("_", " "), figure: found.document_media_index, box: block.box, where: "",
  });
  const blocks = found.document ? found.document.blocks.map((block) => withIds(block, blockItem)) : null;
  return { items, blocks };
}

export function coloured(element, item) {
  element.style.setProperty("--mark", item.colour);
  element.style.setProperty("--mark-ink", INK);
  return element;
}

// Highlights everything that stands for an item while the pointer or the focus is on one of it.
export function linked(element, item) {
  element.dataset.item = item.id;
  for (const name of ["pointerenter", "focus"]) element.addEventListener(name, () => highlight(item.id, true));
  for (const name of ["pointerleave", "blur"]) element.addEventListener(name, () => highlight(item.id, false));
  return element;
}

export function clock(seconds) {
  const whole = Math.floor(seconds / 60);
  return `${whole}:${(seconds - 60 * whole).toFixed(1).padStart(4, "0")}`;
}

function highlight(id, isOn) {
  for (const each of document.querySelectorAll(`[data-item="${id}"]`)) each.classList.toggle("active", isOn);
}

function withIds(block, itemOf) {
  const children = (block.children ?? []).map((child) => withIds(child, itemOf));
  return { ...block, children, item: block.box ? itemOf(block) : null };
}

export function rounded(numbers) {
  return numbers.map((number) => Math.round(number)).join(", ");
}

function span([start, end]) {
  return start === end ? clock(start) : `${clock(start)} – ${clock(end)}`;
}
