// SPDX-License-Identifier: Apache-2.0
// What the user chooses: the model and the fields of the settings. Nothing of it is stored.

import { modelNames } from "./api.js";

const element = (id) => document.getElementById(id);

export function settings() {
  const number = (id) => (element(id).value === "" ? null : Number(element(id).value));
  return {
    model: element("model").value,
    maxTokens: number("max-tokens"),
    temperature: number("temperature"),
    maxPixels: number("max-pixels"),
    fps: number("fps"),
    pages: element("pages").value.trim(),
    key: element("key").value.trim(),
  };
}

// The fields of a request that do not depend on the conversation.
export function sampling(options) {
  const temperature = options.temperature === null ? {} : { temperature: options.temperature };
  return { max_tokens: options.maxTokens, ...temperature };
}

// Fills the list of models; `onProblem` gets a sentence, empty if all went well.
export async function loadModels(onProblem) {
  const chosen = element("model").value;
  try {
    const names = await modelNames(settings().key);
    element("model").replaceChildren(...names.map((name) => new Option(name, name, false, name === chosen)));
    onProblem("");
  } catch (error) {
    onProblem(error.message);
  }
}

element("open-settings").addEventListener("click", () => element("settings").showModal());
