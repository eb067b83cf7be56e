// SPDX-License-Identifier: Apache-2.0
// The left half of the page: questions with their files, and answers as they are written.

const turns = document.getElementById("turns");
const welcome = document.getElementById("welcome");

// The elements of one question and its answer.
export class TurnView {
  constructor(text, files) {
    welcome.hidden = true;
    this.element = made("article", "turn");
    const asked = made("div", "asked");
    const thumbs = made("div", "thumbs");
    thumbs.append(...files.map(thumb));
    if (files.length) asked.append(thumbs);
    asked.append(text);
    this.answer = made("div", "answer writing");
    this.facts = made("p", "facts");
    this.element.append(asked, this.answer, this.facts);
    turns.append(this.element);
    this.scroll();
  }

  add(text) {
    this.answer.append(text);
    this.scroll();
  }

  // Ends the answer. `show` shows again what was found in it.
  finish(facts, notes, show) {
    this.answer.classList.remove("writing");
    const isData = /^\s*(```|[[{<])/.test(this.answer.textContent);
    this.answer.classList.toggle("structure", isData);
    this.facts.textContent = facts;
    if (notes.length) {
      const list = made("ul", "notes");
      list.append(...notes.map((note) => made("li", "", note)));
      this.facts.after(list);
    }
    if (show) {
      const button = made("button", "", "Show what was found");
      button.type = "button";
      button.addEventListener("click", show);
      this.facts.append(" ", button);
    }
    this.scroll();
  }

  remove() {
    this.element.remove();
    welcome.hidden = turns.querySelector(".turn") !== null;
  }

  scroll() {
    turns.scrollTop = turns.scrollHeight;
  }
}

export function clearTurns() {
  for (const turn of turns.querySelectorAll(".turn")) turn.remove();
  welcome.hidden = false;
}

// A chip for each file that goes with the next question.
export function fileChip(file, onRemove) {
  const chip = made("div", "file");
  chip.role = "listitem";
  const remove = made("button", "", "×");
  remove.type = "button";
  remove.setAttribute("aria-label", `Remove ${file.name}`);
  remove.addEventListener("click", onRemove);
  const pages = file.kind === "pdf" ? ` (${file.figures.length} pages)` : "";
  chip.append(made("span", "", file.name + pages), remove);
  return chip;
}

function thumb(file) {
  const first = file.figures[0];
  if (file.kind === "video" || !first) return made("small", "", `▶ ${file.name}`);
  const image = made("img", "");
  image.src = first.source;
  image.alt = file.name;
  return image;
}

function made(tag, className, text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.textContent = text;
  return element;
}
