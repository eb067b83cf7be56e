// SPDX-License-Identifier: Apache-2.0
// A request as a command for curl and as a program in Python. Files are read from the current folder, and the key from
// the environment variable FINESIGHT_API_KEY.

const CHAT = "/v1/chat/completions";

// `request(urlOf)` gives the body of the request, with `urlOf(file)` in place of the data of each file.
export function curlCommand(request, files, hasKey, path = CHAT) {
  const [body, places] = withPlaces(request, files);
  // The shell expands these characters in a here-document.
  let json = JSON.stringify(body, null, 1).replace(/[\\$`]/g, "\\$&");
  for (const [place, file] of places) {
    json = json.replace(place, () => `data:${file.type};base64,$(base64 < ${shellWord(file.name)} | tr -d '\\n')`);
  }
  const lines = [`curl ${location.origin}${path}`, "-H 'Content-Type: application/json'"];
  if (hasKey) lines.push('-H "Authorization: Bearer $FINESIGHT_API_KEY"');
  lines.push("--no-buffer --data-binary @- <<END_OF_REQUEST");
  return `${lines.join(" \\\n  ")}\n${json}\nEND_OF_REQUEST`;
}

export function pythonProgram(request, files, hasKey) {
  const [body, places] = withPlaces(request, files);
  let fields = Object.entries(body).map(([name, value]) => `    ${name}=${literal(value, 1)},`).join("\n");
  for (const [place, file] of places) {
    fields = fields.replace(`"${place}"`, () => `data_url(${JSON.stringify(file.name)}, "${file.type}")`);
  }
  const key = hasKey ? 'os.environ["FINESIGHT_API_KEY"]' : '"none"';
  return [
    ...(places.length ? ["import base64"] : []),
    ...(hasKey ? ["import os"] : []),
    ...(places.length || hasKey ? [""] : []),
    "from openai import OpenAI",
    "",
    ...(places.length ? ["", ...HELPER] : []),
    `client = OpenAI(base_url="${location.origin}/v1", api_key=${key})`,
    "stream = client.chat.completions.create(",
    fields,
    ")",
    "for chunk in stream:",
    "    if chunk.choices and chunk.choices[0].delta.content:",
    "        print(chunk.choices[0].delta.content, end=\"\", flush=True)",
    "print()",
  ].join("\n");
}

// A program for an endpoint that the package openai does not know, with Python's own library.
export function plainProgram(request, files, hasKey, path) {
  const [body, places] = withPlaces(request, files);
  let fields = Object.entries(body).map(([name, value]) => `    ${JSON.stringify(name)}: ${literal(value, 1)},`).join("\n");
  for (const [place, file] of places) {
    fields = fields.replace(`"${place}"`, () => `data_url(${JSON.stringify(file.name)}, "${file.type}")`);
  }
  const key = ["headers[\"Authorization\"] = f\"Bearer {os.environ['FINESIGHT_API_KEY']}\""];
  return [
    "import base64",
    "import json",
    ...(hasKey ? ["import os"] : []),
    "from urllib.request import Request, urlopen",
    "", "",
    ...HELPER,
    "body = {",
    fields,
    "}",
    'headers = {"Content-Type": "application/json"}',
    ...(hasKey ? key : []),
    `request = Request("${location.origin}${path}", json.dumps(body).encode(), headers)`,
    "with urlopen(request) as response:",
    "    print(json.dumps(json.load(response), indent=2, ensure_ascii=False))",
  ].join("\n");
}

const HELPER = [
  "def data_url(name, kind):",
  "    with open(name, \"rb\") as file:",
  "        return f\"data:{kind};base64,{base64.b64encode(file.read()).decode()}\"",
  "", "",
];

// The body with a unique word in place of the data of each file, and these words.
function withPlaces(request, files) {
  const mark = `file-${Math.random().toString(36).slice(2)}-`;
  const places = files.map((file, index) => [`${mark}${index}-`, file]);
  return [request((file) => `${mark}${files.indexOf(file)}-`), places];
}

function shellWord(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

// A JSON value as Python writes it. JSON's texts and numbers are Python's.
function literal(value, depth) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const inner = "    ".repeat(depth + 1);
  const outer = "    ".repeat(depth);
  if (Array.isArray(value)) {
    return `[\n${value.map((each) => `${inner}${literal(each, depth + 1)},\n`).join("")}${outer}]`;
  }
  const entries = Object.entries(value).map(([name, each]) => `${JSON.stringify(name)}: ${literal(each, depth + 1)}`);
  return `{${entries.join(", ")}}`;
}

async function copy(button) {
  const source = document.getElementById(button.dataset.of);
  try {
    await navigator.clipboard.writeText(source.textContent);
    button.textContent = "Copied";
  } catch {
    // Not allowed, or not a secure page: the text is selected, so that the keyboard can copy it.
    getSelection().selectAllChildren(source);
    button.textContent = "Selected: press Ctrl+C";
  }
}

for (const button of document.querySelectorAll(".copy")) button.addEventListener("click", () => copy(button));
