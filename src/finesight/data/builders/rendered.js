// SPDX-License-Identifier: Apache-2.0
// Where a page's visible text and its elements with `data-part` are, in CSS pixels of the viewport.
async () => {
  await document.fonts.ready;
  const view = { left: 0, top: 0, right: innerWidth, bottom: innerHeight };
  const short = (value) => Math.round(value * 100) / 100;
  const meet = (a, b) => ({
    left: Math.max(a.left, b.left),
    top: Math.max(a.top, b.top),
    right: Math.min(a.right, b.right),
    bottom: Math.min(a.bottom, b.bottom),
  });
  const isEmpty = (box) => box.right - box.left < 0.5 || box.bottom - box.top < 0.5;
  const isSame = (a, b) =>
    Math.abs(a.left - b.left) + Math.abs(a.top - b.top) + Math.abs(a.right - b.right) + Math.abs(a.bottom - b.bottom) < 1;
  const contains = (box, x, y) => box.left <= x && x <= box.right && box.top <= y && y <= box.bottom;

  // The rectangle to which the ancestors of an element clip what it contains.
  const clips = new Map();
  const clipWithin = (element) => {
    if (!element || element === document.body || element === document.documentElement) return view;
    if (!clips.has(element)) {
      const outer = clipWithin(element.parentElement);
      const clipping = getComputedStyle(element).overflow !== "visible";
      clips.set(element, clipping ? meet(outer, element.getBoundingClientRect()) : outer);
    }
    return clips.get(element);
  };
  // Whether nothing covers the middle of a box of an element. Ancestors and descendants do not count as cover.
  const isUncovered = (element, box) => {
    const top = document.elementFromPoint((box.left + box.right) / 2, (box.top + box.bottom) / 2);
    return top === null || element.contains(top) || top.contains(element);
  };
  const isShown = (element) =>
    element.checkVisibility({ opacityProperty: true, visibilityProperty: true });

  const shownBox = (element) => meet(element.getBoundingClientRect(), clipWithin(element.parentElement));
  const isVisible = (element) => {
    const box = shownBox(element);
    return !isEmpty(box) && isShown(element) && isUncovered(element, box);
  };
  const isField = (element) => ["INPUT", "SELECT", "TEXTAREA"].includes(element.tagName);
  const textOf = (element) => (isField(element) ? element.value : (element.innerText ?? ""));
  const elements = [...document.querySelectorAll("[data-part]")].filter(isVisible);
  const numbers = new Map(elements.map((element, index) => [element, index]));
  const partAround = (element) => {
    while (element && !numbers.has(element)) element = element.parentElement;
    return element ? numbers.get(element) : -1;
  };
  const parts = elements.map((element) => {
    const box = shownBox(element);
    const { part, ...data } = element.dataset;
    return {
      kind: part,
      id: element.id,
      tag: element.tagName.toLowerCase(),
      data,
      text: textOf(element).replace(/\s+/g, " ").trim(),
      box: [box.left, box.top, box.right, box.bottom].map(short),
      is_whole: isSame(box, element.getBoundingClientRect()),
      parent: partAround(element.parentElement),
    };
  });

  const pen = document.createElement("canvas").getContext("2d");
  const fonts = new Map();
  const rows = [];
  // Vertical extent of the ink of a row: its content box holds the font's ascent and descent.
  const ink = (text, style, rect) => {
    if (!fonts.has(style.font)) {
      pen.font = style.font;
      const { fontBoundingBoxAscent: up, fontBoundingBoxDescent: down } = pen.measureText("x");
      fonts.set(style.font, up / (up + down));
    }
    pen.font = style.font;
    const measured = pen.measureText(text);
    const baseline = rect.top + rect.height * fonts.get(style.font);
    return [baseline - measured.actualBoundingBoxAscent, baseline + measured.actualBoundingBoxDescent];
  };
  const finish = (row, owner, style) => {
    while (row.text.length && row.text[row.text.length - 1] === " ") {
      row.text.pop();
      row.edges.splice(-2);
    }
    if (!row.text.length) return;
    const text = row.text.join("");
    const middle = (row.edges[0] + row.edges[row.edges.length - 1]) / 2;
    const box = { left: middle, right: middle, top: row.rect.top, bottom: row.rect.bottom };
    if (!isUncovered(owner, box)) return;
    const part = partAround(owner);
    const [top, bottom] = ink(text, style, row.rect);
    rows.push({ chars: row.text, edges: row.edges.map(short), top: short(top), bottom: short(bottom), part });
  };
  const changeCase = { uppercase: (c) => c.toUpperCase(), lowercase: (c) => c.toLowerCase() };

  const range = document.createRange();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const owner = node.parentElement;
    if (!node.data.trim() || ["SCRIPT", "STYLE"].includes(owner.tagName) || !isShown(owner)) continue;
    const style = getComputedStyle(owner);
    const drawn = changeCase[style.textTransform] ?? ((c) => c);
    const clip = clipWithin(owner);
    let row = null;
    let at = 0;
    for (const char of node.data) {
      range.setStart(node, at);
      at += char.length;
      range.setEnd(node, at);
      const rect = range.getClientRects()[0];
      const isBlank = !char.trim();
      if (!rect || (isBlank && (!row || rect.width === 0))) continue;
      if (!contains(clip, (rect.left + rect.right) / 2, (rect.top + rect.bottom) / 2)) continue;
      if (row && !isBlank && Math.abs(rect.top - row.rect.top) > rect.height / 2) {
        finish(row, owner, style);
        row = null;
      }
      row ??= { text: [], edges: [], rect };
      row.text.push(isBlank ? " " : drawn(char));
      row.edges.push(rect.left, rect.right);
    }
    if (row) finish(row, owner, style);
  }
  return { rows, parts };
};
