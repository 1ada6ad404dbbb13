// The service's API, by the session's cookie.

/** Tells `signed-out` when a session has ended. */
export const session = new EventTarget();

/** A refusal, or no answer at all (`status` 0). */
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

/** Ask the service; gives the JSON that it answers. Throws ApiError. */
export async function ask(method, path, body, headers = {}) {
  let answer;
  try {
    answer = await fetch(path, {
      method,
      // No page of another origin can send this header: it is what tells that this page asks.
      headers: { "X-Requested-With": "dashboard", "Content-Type": "application/json", ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
    });
  } catch {
    throw new ApiError(0, {
      title: "The service does not answer",
      detail: "It may be restarting, or this machine is offline.",
    });
  }
  const document = await answer.json().catch(() => ({}));
  if (answer.ok) return document;
  const over = path !== "/session" && (answer.status === 401 || document.code === "api_key_missing");
  if (over) session.dispatchEvent(new Event("signed-out"));
  throw new ApiError(answer.status, document, answer.headers.get("X-Request-ID"));
}

export const get = (path) => ask("GET", path);
export const post = (path, body, headers) => ask("POST", path, body, headers);

/** A path with the parameters that have a value. */
export function withQuery(path, parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value != null && value !== "");
  return given.length > 0 ? `${path}?${new URLSearchParams(given)}` : path;
}
