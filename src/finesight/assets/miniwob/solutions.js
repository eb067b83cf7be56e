// SPDX-License-Identifier: Apache-2.0
// The next step on each page for someone who reads its source. Each solution looks at the page as it is now, so it
// may be asked after any step; what a page does not show is kept in `memory`. Places are in pixels of the page.
// Used to prove that every page can be solved and pays, and to find the element that one click decides.

(() => {
  const memory = {};
  const one = (selector) => document.querySelector(selector);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const query = () => one("#query").textContent.replace(/\s+/g, " ").trim();
  const quoted = () => query().match(/"(.*)"/)[1];
  const rectangle = (element) => {
    const box = element.getBoundingClientRect();
    return [box.left, box.top, box.right, box.bottom];
  };
  const middle = (element) => {
    const [left, top, right, bottom] = rectangle(element);
    return [(left + right) / 2, (top + bottom) / 2];
  };
  const click = (element) => ({ kind: "left_click", at: middle(element), boxes: [rectangle(element)] });
  const submit = () => click(one("#subbtn") ?? one("#area button.secondary-action"));

  // A drag is two steps: to the place where it starts, then away with the button held.
  const drag = (start, end) => {
    if (!memory.isHeld) {
      memory.isHeld = true;
      return { kind: "mouse_move", at: start };
    }
    memory.isHeld = false;
    return { kind: "left_click_drag", at: end };
  };

  // Fields in turn: into the focus first, then typed; the button last.
  const fill = (wanted) => {
    for (const [selector, text] of wanted) {
      const field = one(selector);
      if (field.value === String(text)) continue;
      if (document.activeElement !== field) return click(field);
      return { kind: "type", text: String(text) };
    }
    return submit();
  };

  const tick = (wanted) => {
    for (const label of all("#boxes label")) {
      const box = label.querySelector("input");
      const isWanted = wanted.includes(label.textContent.trim());
      if (isWanted !== box.checked && (isWanted || box.type === "checkbox")) return click(box);
    }
    return submit();
  };

  const sum = () => {
    const [, first, sign, second] = one("#math-problem").textContent.match(/(\d+)\s*([-+x])\s*(\d+)/);
    const [a, b] = [Number(first), Number(second)];
    return { "+": a + b, "-": a - b, x: a * b }[sign];
  };

  const slide = () => {
    const wanted = Number(query().match(/Select (-?\d+)/)[1]);
    const slider = $("#slider");
    const now = slider.slider("value");
    const [least, most] = [slider.slider("option", "min"), slider.slider("option", "max")];
    if (now === wanted) return submit();
    const handle = one("#slider .ui-slider-handle");
    if (memory.wasDragged && !memory.isHeld) {
      return { kind: "key", keys: [now < wanted ? "right" : "left"] };
    }
    memory.wasDragged = true;
    const [left, top, right, bottom] = rectangle(one("#slider"));
    const share = (wanted - least) / (most - least);
    const [x, y] = middle(handle);
    const isLevel = slider.slider("option", "orientation") === "horizontal";
    const end = isLevel ? [left + share * (right - left), y] : [x, bottom - share * (bottom - top)];
    return drag([x, y], end);
  };

  // A place where the element is not covered by another.
  const bare = (element) => {
    const [left, top, right, bottom] = rectangle(element);
    for (let y = Math.ceil(top) + 1; y < bottom - 1; y += 1) {
      for (let x = Math.ceil(left) + 1; x < right - 1; x += 1) {
        if (document.elementFromPoint(x, y) === element) return [x, y];
      }
    }
    return null;
  };

  const putInside = () => {
    const [small, large] = [one("#draggableSmall"), one("#draggableLarge")];
    const [a, b] = [rectangle(small), rectangle(large)];
    const margin = 15;
    const [across, down] = [b[0] + margin - a[0], b[1] + margin - a[1]];
    if (memory.grip === undefined && Math.hypot(across, down) < 8) return submit();
    if (memory.grip === undefined) {
      const from = bare(small);
      const by = from === null ? [-across, -down] : [across, down];
      memory.grip = { from: from ?? bare(large), by };
    }
    const { from, by } = memory.grip;
    const step = drag(from, [from[0] + by[0], from[1] + by[1]]);
    if (step.kind === "left_click_drag") delete memory.grip;
    return step;
  };

  const push = () => {
    const shape = one(".black-shape");
    const [x, y] = middle(shape);
    const ways = { left: [-20, 0], right: [20, 0], up: [0, -20], down: [0, 20] };
    const way = ways[query().match(/Drag the item (\w+)/)[1]];
    if (memory.wasDragged && !memory.isHeld) return submit();
    memory.wasDragged = true;
    return drag([x, y], [x + way[0], y + way[1]]);
  };

  const choose = () => {
    const list = one("#options");
    const wanted = query().match(/Select (.*) from the list/)[1];
    if (list.options[list.selectedIndex].text === wanted) return submit();
    if (document.activeElement !== list) return { kind: "key", keys: ["tab"] };
    if (!memory.wasTyped) {
      memory.wasTyped = true;
      return { kind: "type", text: wanted };
    }
    return { kind: "key", keys: ["down"] };
  };

  const word = () => {
    const place = Number(query().match(/the (\d+)/)[1]);
    const words = one("#area p").textContent.trim().split(/\s+/);
    return words[place - 1].replace(/[^a-zA-Z]+/g, "");
  };

  const dialogButton = () => {
    const wanted = quoted();
    if (wanted === "x") return click(one(".ui-dialog-titlebar button.ui-button"));
    return click(all(".ui-dialog-buttonpane button").find((each) => each.textContent === wanted));
  };

  const cell = () => {
    const key = one("#query .bold").textContent;
    const row = all("#tab tr").find((each) => each.cells[0].textContent === key);
    return row.cells[1].textContent;
  };

  const login = () => {
    const [, user, password] = query().match(/"(.*?)" and the password "(.*?)"/);
    return fill([["#username", user], ["#password", password]]);
  };

  const solutions = {
    "click-dialog": () => click(one("button.ui-button")),
    "click-dialog-2": dialogButton,
    "click-tab": () => click(all("#area ul a")[Number(query().match(/#(\d)/)[1]) - 1]),
    "focus-text-2": () => click(all("#area input")[Number(query().match(/(\d)/)[1]) - 1]),
    "circle-center": () => (one("#blue-circle") ? submit() : click(one(".black-circle"))),
    "click-option": () => tick([query().match(/Select (.*) and click/)[1]]),
    "click-checkboxes": () => tick(query().match(/Select (.*) and click/)[1].split(", ")),
    "choose-list": choose,
    "click-collapsible-nodelay": () =>
      $(".ui-accordion-content:visible").length ? submit() : click(one(".ui-accordion-header")),
    "enter-text": () => fill([["#tt", quoted()]]),
    "enter-password": () => fill([["#password", quoted()], ["#verify", quoted()]]),
    "login-user": login,
    "simple-arithmetic": () => fill([["#math-answer", sum()]]),
    "visual-addition": () => fill([["#math-answer", all(".addition-block").length]]),
    "read-table": () => fill([["#tt", cell()]]),
    "find-word": () => fill([["#answer-input", word()]]),
    "use-slider": slide,
    "drag-box": putInside,
    "drag-single-shape": push,
  };
  window.finesightSolve = (page) => solutions[page]?.() ?? null;
})()
