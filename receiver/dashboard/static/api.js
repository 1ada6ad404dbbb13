// The service's API, authenticated by the session cookie.

import { parseExactly } from "./exact-json.js";

/** Dispatches `signed-out` when the session has ended. */
export const session = new EventTarget();

/** An error response, or no response at all (`status` 0). */
export class ApiError extends Error {
  constructor(status, problem, requestId) {
    super(problem.detail ?? problem.message ?? `The service answered ${status}.`);
    this.status = status;
    this.title = problem.title ?? "Something went wrong";
    this.code = problem.code ?? "";
    this.faults = problem.errors ?? [];
    this.requestId = requestId;
  }
}

/** Send a request; returns the JSON response. Throws ApiError. */
export async function ask(method, path, body, headers = {}) {
  let answer, text;
  try {
    answer = await fetch(path, {
      method,
      // Against CSRF: pages of other origins cannot send this header.
      headers: { "X-Requested-With": "dashboard", "Content-Type": "application/json", ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
    });
    text = await answer.text();
  } catch {
    throw new ApiError(0, {
      title: "The service does not answer",
      detail: "It may be restarting, or this machine is offline.",
    });
  }
  const document = parsedOrEmpty(text);
  if (answer.ok) return document;
  const over = path !== "/session" && (answer.status === 401 || document.code === "api_key_missing");
  if (over) session.dispatchEvent(new Event("signed-out"));
  throw new ApiError(answer.status, document, answer.headers.get("X-Request-ID"));
}

// A 204 has no body, and a proxy's error page is no JSON.
function parsedOrEmpty(text) {
  try {
    return parseExactly(text);
  } catch {
    return {};
  }
}

export const get = (path) => ask("GET", path);
export const post = (path, body, headers) => ask("POST", path, body, headers);

/** A path with the parameters that have a value. */
export function withQuery(path, parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value != null && value !== "");
  return given.length > 0 ? `${path}?${new URLSearchParams(given)}` : path;
}

/** A random Idempotency-Key. (`crypto.randomUUID` is missing on plain HTTP.) */
export function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
    byte.toString(16).padStart(2, "0")).join("");
}
