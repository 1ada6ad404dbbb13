// The service's API, authenticated by the session cookie.

import { learnClock } from "./times.js";

const ROOT = new URL("..", import.meta.url).href.slice(0, -1);
/** The address of a path of the service, which may be below a path of its host. */
export const addressOf = (path) => ROOT + path;

/** The session that the page shows. Dispatches `signed-out` when it has ended. `user` is a name. */
export const session = Object.assign(new EventTarget(), { user: null, admin: false });

/** Whether `/session` still says what the page shows. A user's keys can have different rights. */
export const isSameSession = ({ user, admin }) => user === session.user && admin === session.admin;

/** An error response, or no response at all (`status` 0). */
class ApiError extends Error {
  constructor(status, problem, requestId) {
    super(problem.detail ?? problem.message ?? `The service answered ${status}.`);
    this.status = status;
    /** Null if it is not the service's own answer. */
    this.code = problem.code ?? null;
    /** Whether the service says that there is no such thing; a proxy's 404 does not. */
    this.isGone = status === 404 && this.code !== null;
    this.title = problem.title ?? "Something went wrong";
    this.fieldErrors = problem.errors ?? [];
    this.requestId = requestId;
  }
}

const NO_RESPONSE = {
  title: "No answer",
  detail: "The service does not answer. It may be restarting, or this machine is offline.",
};
const NOT_OURS = {
  title: "No answer",
  detail: "Something else answered in place of the service, such as a proxy.",
};
/** Milliseconds after which a request counts as unanswered: the connection of a hanging service stays open. */
const LONGEST = 30_000;

/** Send a request; returns what `read` makes of the response. Throws ApiError, even if aborted. */
export async function request(method, path, { body, headers, signal, read = parse } = {}) {
  let response, text;
  try {
    response = await fetch(addressOf(path), {
      method,
      // Against CSRF: pages of other origins cannot send this header.
      headers: { "X-Requested-With": "dashboard", "Content-Type": "application/json", ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      signal,
    });
    learnClock(response.headers.get("Date"));
    text = await response.text();
  } catch {
    throw new ApiError(0, NO_RESPONSE);
  }
  const document = parsed(response.status === 204 ? "{}" : text, response.ok ? read : parse);
  if (response.ok && document === null) throw new ApiError(0, NOT_OURS);
  if (response.ok) return document;
  const ended = path !== "/session" && ["unauthorized", "api_key_missing"].includes(document?.code);
  if (ended) session.dispatchEvent(new Event("signed-out"));
  throw new ApiError(response.status, document ?? {}, response.headers.get("X-Request-ID"));
}

export const limited = (signal) => AbortSignal.any([AbortSignal.timeout(LONGEST), ...(signal ? [signal] : [])]);

export const get = (path, signal) => request("GET", path, { signal: limited(signal) });
export const getExactly = (path, signal) =>
  request("GET", path, { signal: limited(signal), read: parseExactly });
export const post = (path, body, signal = limited()) => request("POST", path, { body, signal });
export const remove = (path) => request("DELETE", path, { signal: limited() });

/** Null if the text cannot be read: a proxy's page is not JSON. */
function parsed(text, read) {
  try {
    return read(text);
  } catch {
    return null;
  }
}

/** Like `JSON.parse`, but `JSON.stringify` reproduces the text of each number that `isKept`. */
function parseKeeping(isKept, text) {
  return JSON.parse(text, JSON.rawJSON && ((_, value, { source }) =>
    typeof value === "number" && isKept(value, source) ? JSON.rawJSON(source) : value));
}

/** Integers beyond 2^53 stay exact, but cannot be calculated with; all other numbers can. */
export const parse = (text) =>
  parseKeeping((value, source) => !Number.isSafeInteger(value) && /^-?\d+$/.test(source), text);

/** All numbers keep their text: some providers treat 1.0 and 1 differently. */
export const parseExactly = (text) => parseKeeping((value, source) => String(value) !== source, text);

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
