// "Try it" on /docs: a form for each operation. Requests go only to this service. The key stays in
// this page; without one, the dashboard's session is used.

import { addressOf, randomKey } from "./api.js";
import { h } from "./dom.js";
import { pretty } from "./json.js";

const SHOWN = 65_536; // maximum characters shown of a response
const LONGEST = 90_000; // milliseconds for all but GET; `Prefer: wait` takes up to 60 s
const KEY = "Idempotency-Key";
/** The keys of requests without a final answer: sent again after a lost one, they create no second job. */
const unfinished = new Map();

const key = h("input", { type: "password", autocomplete: "off", spellcheck: "false" });

export const keyField = h("label", {},
  "API key for “Try it” (kept in this page only; empty: the dashboard's session)", key);

/** A form that sends the operation's request and shows the response. */
export function tryIt(method, path, operation) {
  const inputs = (operation.parameters ?? []).map((parameter) => {
    const { name, required, schema, example = schema.examples?.[0] } = parameter;
    const input = h("input", { name, required, spellcheck: "false", placeholder: example });
    return { parameter, input, label: h("label", {}, `${name} (${parameter.in})`, input) };
  });
  const example = operation.requestBody?.content["application/json"].example;
  const body = example
    && h("textarea", { rows: 8, spellcheck: "false" }, JSON.stringify(example, null, 2));
  const button = h("button", { click: ignoreRepeated }, "Send");
  const output = h("pre", { hidden: true, tabindex: 0, "aria-live": "polite" });
  let running = null;
  const result = h("form", { keydown: ignoreHeld }, h("h3", {}, "Try it"),
    method !== "GET" && h("p", { class: "soft" }, "This sends a real request, which may cost money.",
      takesKey(inputs) && ` If you set no ${KEY}, this page adds one. Then it is safe to send the same request`
        + " again after a lost answer."),
    inputs.map(({ label }) => label), body && h("label", {}, "Body", body), button, output);
  result.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (running) {
      if (method === "GET") running.abort(); // any other may have had its effect
      return;
    }
    running = new AbortController();
    button.textContent = method === "GET" ? "Stop" : "Sending…";
    output.hidden = false;
    output.textContent = "…";
    try {
      await send(method, path, inputs, body?.value, running.signal, output);
    } catch (error) {
      output.textContent += running.signal.aborted ? "\n(stopped)" : `\nNo response: ${error.message}`;
    }
    running = null;
    button.textContent = "Send";
  });
  return result;
}

// The second click of a double click would stop the request, or repeat it.
function ignoreRepeated(event) {
  if (event.detail > 1) event.preventDefault();
}

// Enter that is held down would send again and again; in a text area it makes new lines.
function ignoreHeld(event) {
  if (event.repeat && event.key === "Enter" && event.target.tagName !== "TEXTAREA") event.preventDefault();
}

const takesKey = (inputs) => inputs.some(({ parameter }) => parameter.name === KEY);

async function send(method, path, inputs, body, signal, output) {
  const headers = key.value ? { "API-KEY": key.value } : { "X-Requested-With": "docs" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const query = new URLSearchParams();
  for (const { parameter, input } of inputs) {
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    else if (input.value && parameter.in === "query") query.append(parameter.name, input.value);
    else if (input.value) headers[parameter.name] = input.value;
  }
  const url = query.size ? `${path}?${query}` : path;
  const request = `${url}\n${body}`;
  if (takesKey(inputs) && !headers[KEY]) {
    if (!unfinished.has(request)) unfinished.set(request, randomKey());
    headers[KEY] = unfinished.get(request);
  }
  if (method !== "GET") signal = AbortSignal.timeout(LONGEST);
  const response = await fetch(addressOf(url), { method, headers, body, signal, cache: "no-store", redirect: "manual" });
  // A redirect leads to the result on another host; the browser does not reveal its URL.
  output.textContent = response.type === "opaqueredirect" ? "A redirect to the result."
    : `${response.status} ${response.statusText}\nX-Request-ID: ${response.headers.get("X-Request-ID")}\n\n`;
  const head = output.textContent;
  const decoder = new TextDecoder();
  let text = "";
  if (!response.body) return;
  for (const reader = response.body.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) break;
    text = (text + decoder.decode(value, { stream: true })).slice(-SHOWN);
    output.textContent = head + text;
  }
  if (response.headers.get("Content-Type")?.includes("json")) output.textContent = head + pretty(text);
  // The answer is final if it is about a job; others, such as a 429, say nothing about the first request.
  if (response.status < 500 && text.includes('"request_id":')) unfinished.delete(request);
}
