// A JSON viewer: indented and coloured, with a copy button.

import { parseExactly } from "./api.js";
import { copyButton, h } from "./dom.js";

const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(?:true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** Show a value, or a text that may be JSON. */
export function jsonView(value, what) {
  const text = pretty(value);
  return h("div", { class: "viewer" }, copyButton(text, what),
    h("pre", { tabindex: 0, "aria-label": what }, coloured(text)));
}

/** A value, or a text that may be JSON, as indented JSON. */
export function pretty(value) {
  if (typeof value !== "string") return JSON.stringify(value, null, 2);
  try {
    return JSON.stringify(parseExactly(value), null, 2);
  } catch {
    return value; // truncated, or not JSON
  }
}

function coloured(text) {
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(TOKEN)) {
    const [all, quoted, colon] = match;
    parts.push(text.slice(end, match.index));
    const kind = quoted === undefined ? "value" : colon === undefined ? "text" : "name";
    parts.push(h("span", { class: kind }, quoted ?? all), colon ?? "");
    end = match.index + all.length;
  }
  parts.push(text.slice(end));
  return parts;
}
