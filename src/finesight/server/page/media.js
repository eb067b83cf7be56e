// SPDX-License-Identifier: Apache-2.0
// Files that the user adds: what is sent of them, and the figures that show them.
//
// A file has one figure for each picture or video that the model sees: a PDF has one for each page. The order of all
// figures of a conversation is that of `media` in the server's answers.

import { pdfPages } from "./api.js";

// Reads a file. `options` are those of the settings.
export async function readFile(file, options) {
  const kind = kindOf(file);
  if (kind === null) {
    throw new Error(`${file.name} is neither a picture, a video nor a PDF.`);
  }
  const url = await dataUrl(file, kind);
  const name = file.name || `pasted.${file.type.split("/")[1]}`;
  const read = { name, kind, url, type: url.slice("data:".length, url.indexOf(";")), pages: "" };
  if (kind === "pdf") {
    read.pages = options.pages;
    read.figures = await pageFigures(read, options.key);
  } else {
    read.figures = [{ kind, title: name, source: URL.createObjectURL(file), page: 0 }];
  }
  return read;
}

export function forget(file) {
  for (const figure of file.figures) {
    if (figure.source.startsWith("blob:")) URL.revokeObjectURL(figure.source);
  }
}

// The part of a message that has the file; `url` stands for its data.
export function partOf(file, options, url = file.url) {
  const budget = options.maxPixels === null ? {} : { max_pixels: options.maxPixels };
  if (file.kind === "pdf") {
    const pages = file.pages ? { pages: file.pages } : {};
    return { type: "file", file: { file_data: url, filename: file.name }, ...pages, ...budget };
  }
  if (file.kind === "video") {
    const rate = options.fps === null ? {} : { fps: options.fps };
    return { type: "video_url", video_url: { url }, ...rate, ...budget };
  }
  return { type: "image_url", image_url: { url }, ...budget };
}

function kindOf(file) {
  if (file.type.startsWith("image/")) return "image";
  if (file.type.startsWith("video/")) return "video";
  return file.type === "application/pdf" || /\.pdf$/i.test(file.name) ? "pdf" : null;
}

async function dataUrl(file, kind) {
  // A browser that does not know the type of a file gives it none.
  const typed = kind === "pdf" ? new Blob([file], { type: "application/pdf" }) : file;
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(new Error(`${file.name} cannot be read: ${reader.error.message}`));
    reader.readAsDataURL(typed);
  });
}

async function pageFigures(file, key) {
  const body = { file_data: file.url };
  if (file.pages) body.pages = file.pages;
  const drawn = await pdfPages(body, key);
  const left = file.pages ? 0 : drawn.num_pages - drawn.pages.length;
  const figures = drawn.pages.map((page) => ({
    kind: "image",
    title: `${file.name}, page ${page.page + 1}`,
    source: page.url,
    page: page.page,
    size: [page.width, page.height],
  }));
  // Pages that are sent but not drawn keep their places in the order of the figures.
  for (let place = 0; place < left; place += 1) {
    figures.push({ kind: "hidden", title: `${file.name}, page ${drawn.pages.length + place + 1}`, source: "" });
  }
  return figures;
}
