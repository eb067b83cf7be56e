// SPDX-License-Identifier: Apache-2.0
// Results of applications: items for the viewer, blocks of a document or null, and the elements of the left half.
//
// All text is set as text. Places are in pixels of the original picture or of the drawn page.

import { coloured, linked, newItems, rounded } from "./findings.js";

const SPOKEN_STATUS = { absent: "not found", unread: "could not be looked for" };

// Each takes the JSON of the server and the figures of the file.
export const RESULTS = { read, extract, locate, "describe-screen": describeScreen };

function read(found, figures) {
  const { items, add } = newItems();
  const blocks = found.pages.flatMap((page) => page.blocks.map((block) => {
    const place = { figure: figureOf(page.page_of_source - 1, figures), box: block.box, where: "" };
    return {
      kind: block.kind,
      text: block.text,
      level: block.level ?? 0,
      rows: block.rows?.map((row) => row.map((text) => ({ text, is_header: false, colspan: 1, rowspan: 1 }))),
      children: [],
      item: block.box ? add("block", { label: block.kind, ...place }) : null,
    };
  }));
  const counts = new Map();
  for (const { status } of found.pages) counts.set(status, (counts.get(status) ?? 0) + 1);
  const title = [...counts].map(([status, count]) => `${count} ${count === 1 ? "page" : "pages"} ${status}`).join(", ");
  const problems = found.pages.flatMap((page) => page.problems.map((problem) => `page ${page.page}: ${problem}`));
  const markdown = made("pre", found.markdown);
  markdown.setAttribute("aria-label", "Markdown");
  return { items, blocks, shown: [made("h2", title), ...notes(problems), markdown] };
}

function extract(found, figures) {
  const { items, add } = newItems();
  const { fields, checks, problems } = found.documents[0];
  const table = made("table");
  const head = table.createTHead().insertRow();
  head.append(...["field", "value", "status", "score"].map((title) => made("th", title)));
  const rows = table.createTBody();
  for (const [path, field] of Object.entries(fields)) {
    const row = rows.insertRow();
    const score = field.score.value === null ? "none" : field.score.value.toFixed(2);
    const value = field.value === null ? field.raw : plain(field.value);
    for (const text of [path, value, field.status, score]) row.insertCell().textContent = text;
    for (const { box, page } of field.evidence) {
      const where = box ? `page ${(page ?? 0) + 1} at ${rounded(box)}` : "place unknown";
      add("field", { label: path, isQuiet: true, box, figure: box ? figureOf(page, figures) : null, where });
      linked(coloured(row, items.at(-1)), items.at(-1));
    }
  }
  const doubts = Object.entries(fields).flatMap(([path, field]) => field.problems.map((each) => `${path}: ${each}`));
  const rules = checks.filter((check) => check.outcome !== "pass").map((check) => `rule ${check.rule}: ${check.outcome}`);
  return { items, blocks: null, shown: [table, ...notes([...doubts, ...rules, ...problems])] };
}

function locate(found) {
  const { items, add } = newItems();
  const [{ phrases, coverage }] = found.pictures;
  const titles = phrases.map((phrase) => {
    for (const { label, box, point, score } of phrase.things) {
      add(box ? "box" : "point", { label, box, point, figure: 0, where: `${rounded(box ?? point)}, ${scoreText(score)}` });
    }
    const words = phrase.things.length ? `${phrase.count} found` : SPOKEN_STATUS[phrase.status] ?? phrase.status;
    return made("h2", `${phrase.phrase}: ${words}`);
  });
  const asked = phrases
    .filter((each) => each.asked !== null && each.asked !== each.compared)
    .map((each) => `Asked for their number, the model said ${each.asked}, beside ${each.compared} that were found.`);
  const rejected = phrases
    .flatMap((each) => each.rejected)
    .map((thing) => `${thing.label} at ${rounded(thing.box ?? thing.point)} was rejected by a second question.`);
  const problems = phrases.flatMap((each) => each.problems);
  return { items, blocks: null, shown: [...titles, ...notes([...asked, ...rejected, ...problems, ...unseen(coverage)])] };
}

function describeScreen(found) {
  const { items, add } = newItems();
  const [{ children, coverage, problems }] = found.screens;
  const list = made("ol");
  for (const control of children) {
    const guess = control.suggestion?.value ? ` (suggested name: ${control.suggestion.value})` : "";
    const name = control.name || "unlabeled";
    const facts = [control.role, control.value, ...control.states].filter(Boolean).join(", ");
    add("control", { label: name, isQuiet: true, box: control.bounds, figure: 0, where: `${facts}, ${scoreText(control.score)}` });
    list.append(linked(coloured(made("li", `${name}, ${facts}${guess}`), items.at(-1)), items.at(-1)));
  }
  const title = children.length === 1 ? "1 element" : `${children.length} elements`;
  const shown = [made("h2", title), ...notes([...problems, ...unseen(coverage)]), list];
  return { items, blocks: null, shown };
}

// The figure of a page of the file, counted from 0; null if it is not among them.
function figureOf(page, figures) {
  const index = figures.findIndex((figure) => figure.page === (page ?? 0));
  return index < 0 ? null : index;
}

function scoreText({ value }) {
  return value === null ? "no score" : `score ${value.toFixed(2)}`;
}

function unseen(coverage) {
  return coverage.skipped.map(({ what, reason }) => `${what} not read: ${reason}`);
}

function notes(texts) {
  if (!texts.length) return [];
  const list = made("ul");
  list.className = "notes";
  list.append(...texts.map((text) => made("li", text)));
  return [list];
}

function plain(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function made(tag, text = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}
