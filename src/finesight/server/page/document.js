// SPDX-License-Identifier: Apache-2.0
// A document that the model read, as HTML.
//
// The elements are made from the parsed blocks of the answer, and all text is set as text. No markup that the model
// wrote is given to the browser.

import { coloured, linked } from "./findings.js";

const TAGS = { paragraph: "p", list: "ul", list_item: "li", caption: "p", code: "pre", quote: "blockquote", formula: "pre" };
const DRAWN = ["chart", "image", "music_sheet", "chemical_formula", "figure"];

export function showDocument(container, blocks, items) {
  const byId = new Map(items.map((item) => [item.id, item]));
  container.replaceChildren(...blocks.map((block) => element(block, byId)));
}

function element(block, items) {
  const made = block.rows ? table(block) : plain(block);
  const children = block.children.map((child) => element(child, items));
  if (children.length) (block.rows ? made.createCaption() : made).append(...children);
  const item = items.get(block.item);
  return item ? linked(coloured(made, item), item) : made;
}

function plain(block) {
  const heading = `h${Math.min(Math.max(block.level + 1, 2), 6)}`;
  const made = document.createElement(block.kind === "heading" ? heading : TAGS[block.kind] ?? "div");
  if (DRAWN.includes(block.kind) && !block.text) {
    made.className = "kind";
    made.textContent = `[${block.kind.replaceAll("_", " ")}]`;
  } else {
    made.textContent = block.text;
  }
  return made;
}

function table(block) {
  const made = document.createElement("table");
  for (const cells of block.rows) {
    const row = made.insertRow();
    for (const cell of cells) {
      const shown = document.createElement(cell.is_header ? "th" : "td");
      shown.textContent = cell.text;
      shown.colSpan = cell.colspan;
      shown.rowSpan = cell.rowspan;
      row.append(shown);
    }
  }
  return made;
}
