function() {
  // SPDX-License-Identifier: Apache-2.0
  // `this` is the node under the point. The control around it is described; without one, the node itself is.
  const CONTROLS = "a[href],button,input,select,textarea,summary,option,label,[onclick],"
    + "[contenteditable=''],[contenteditable='true'],"
    + ["button", "link", "menuitem", "checkbox", "radio", "switch", "tab", "option", "textbox", "combobox"]
      .map((role) => `[role='${role}']`).join(",");
  const ROLES = {A: "link", BUTTON: "button", SELECT: "combobox", TEXTAREA: "textbox", OPTION: "option", SUMMARY: "button",
                 IMG: "image", IFRAME: "iframe", CANVAS: "canvas"};
  const INPUTS = {checkbox: "checkbox", radio: "radio", submit: "button", button: "button", image: "button", reset: "button",
                  file: "button", range: "slider"};
  const outer = (each) => each.parentElement ?? each.getRootNode().host ?? null;
  const squeezed = (text, most) => (text ?? "").replace(/\s+/g, " ").trim().slice(0, most);
  const start = this.nodeType === 1 ? this : this.parentElement ?? this.getRootNode().host;
  if (!start || start.tagName === "HTML" || start.tagName === "BODY") return null;
  let it = start;
  while (it && !it.matches(CONTROLS)) it = outer(it);
  if (!it) {  // a script may listen on any element; what is meant to be clicked usually has this cursor
    it = start;
    const isPointed = (each) => each && getComputedStyle(each).cursor === "pointer";
    while (isPointed(outer(it))) it = outer(it);
  }
  if (it.tagName === "LABEL" && it.control) it = it.control;
  const form = it.form ?? it.closest("form");
  const kind = (it.getAttribute("type") ?? it.type ?? "").toLowerCase();
  const isButtonInput = it.tagName === "INPUT" && INPUTS[kind] === "button";
  const pointed = (it.getAttribute("aria-labelledby") ?? "").split(/\s+/).filter(Boolean)
    .map((id) => it.getRootNode().getElementById?.(id)?.textContent ?? "").join(" ");
  const picture = it.querySelector?.("img[alt], svg title");
  const name = it.getAttribute("aria-label") || pointed || (it.labels?.[0]?.textContent) || (isButtonInput && it.value)
    || it.innerText || it.alt || it.title || it.placeholder || picture?.alt || picture?.textContent || "";
  let around = outer(it);
  while (around && outer(around) && squeezed(around.innerText, 400).length <= squeezed(name, 400).length) around = outer(around);
  const role = it.getAttribute("role") || ROLES[it.tagName] || (it.tagName === "INPUT" ? INPUTS[kind] ?? "textbox" : "")
    || (it.isContentEditable ? "textbox" : "generic");
  const box = it.getBoundingClientRect();
  let [left, top] = [0, 0];
  for (let frame = it.ownerDocument.defaultView?.frameElement; frame; frame = frame.ownerDocument.defaultView?.frameElement) {
    const at = frame.getBoundingClientRect();
    left += at.left + frame.clientLeft;
    top += at.top + frame.clientTop;
  }
  const isSubmit = form && (kind === "submit" || kind === "image" || (it.tagName === "BUTTON" && it.type === "submit"));
  const target = it.tagName === "A" ? it.href : it.hasAttribute("formaction") ? it.formAction : form?.getAttribute("action") !== null
    ? form?.action : form?.ownerDocument.URL;
  const fields = form ? [...form.elements].filter((each) => each.tagName === "INPUT") : it.tagName === "INPUT" ? [it] : [];
  const holds = fields.flatMap((each) => /^(cc-|one-time-code)/.test(each.autocomplete) ? [each.autocomplete] : [each.type])
    .filter((each) => /^(password|file|cc-.*|one-time-code)$/.test(each));
  const button = form?.querySelector("button:not([type]),button[type=submit],input[type=submit],input[type=image]");
  const states = [["checked", it.checked], ["disabled", it.disabled], ["readonly", it.readOnly]];
  return {
    role,
    name: squeezed(name, 200),
    value: isButtonInput ? "" : squeezed(String(it.value ?? ""), 2000),
    box: [box.left + left, box.top + top, box.right + left, box.bottom + top],
    states: states.filter(([, is]) => is === true).map(([state]) => state),
    traits: {
      type: isSubmit ? "submit" : it.isContentEditable ? "editable" : it.tagName === "TEXTAREA" ? "multiline" : kind,
      autocomplete: it.getAttribute("autocomplete"),
      method: it.tagName === "A" ? "get" : form ? (it.getAttribute("formmethod") || form.getAttribute("method") || "get").toLowerCase() : "",
      target,
      form: form ? squeezed(form.innerText, 300) : "",
      holds: [...new Set(holds)].join(" "),
      submit: button ? squeezed(button.innerText || button.value, 100) : "",
      download: it.tagName === "A" && it.hasAttribute("download") ? "yes" : "",
      near: squeezed(around?.innerText, 300),
      document: it.ownerDocument.URL,
    },
  };
}
