// SPDX-License-Identifier: Apache-2.0
// Requests to the server of this page. Every failure is an Error whose message is a sentence for the user.

export class ServerError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

export async function modelNames(key) {
  const response = await send("/v1/models", { headers: headers(key) });
  return (await response.json()).data.map((model) => model.id);
}

export async function pdfPages(body, key) {
  const response = await post("/page/pages", body, key);
  return response.json();
}

// The result of an application, such as "read".
export async function appResult(name, body, key, signal) {
  const response = await post(`/v1/apps/${name}`, body, key, signal);
  return response.json();
}

// The chunks of a streamed chat completion. Ends when the server sends [DONE].
export async function* chatChunks(body, key, signal) {
  const response = await post("/v1/chat/completions", body, key, signal);
  for await (const data of serverEvents(response.body)) {
    if (data === "[DONE]") return;
    const chunk = JSON.parse(data);
    if (chunk.error) throw new ServerError(chunk.error.message, 200);
    yield chunk;
  }
  throw new ServerError("The connection ended before the answer was complete.", 200);
}

function post(path, body, key, signal) {
  const json = { ...headers(key), "Content-Type": "application/json" };
  return send(path, { method: "POST", headers: json, body: JSON.stringify(body), signal });
}

// The key goes into a header, never into an address, which browsers and proxies record.
function headers(key) {
  return key ? { Authorization: `Bearer ${key}` } : {};
}

async function send(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError("The server cannot be reached. Is it still running?", 0);
  }
  if (!response.ok) throw await failure(response);
  return response;
}

async function failure(response) {
  let message = `The server refused the request with status ${response.status}.`;
  try {
    message = (await response.json()).error.message;
  } catch {
    // A body of another form, for example from a proxy: the status says all that is known.
  }
  if (response.status === 401) message += " Enter the API key under Settings.";
  return new ServerError(message, response.status);
}

// The data of each server-sent event.
async function* serverEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    held += value;
    const events = held.split("\n\n");
    held = events.pop();
    for (const event of events) {
      if (event.startsWith("data: ")) yield event.slice("data: ".length);
    }
  }
}
