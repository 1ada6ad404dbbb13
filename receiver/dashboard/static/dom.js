// Elements, words and times.

/** An element. Children that are text become text nodes: nothing from outside is ever markup. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return element;
}

export const main = document.getElementById("main");

/** Say it to those who listen and do not look. */
export function announce(text) {
  document.getElementById("news").textContent = text;
}

/** The face of a state without content: loading, empty, or a way on. */
export function face(title, text, ...actions) {
  const words = [h("strong", {}, title), text && h("span", {}, text)];
  return h("div", { class: "state" }, words, actions.length > 0 && h("p", {}, actions));
}

/** The face of what went wrong. */
export function failure(error, again) {
  const id = error.requestId && h("small", {}, `Request ${error.requestId}`);
  const button = again && h("button", { type: "button", click: again }, "Try again");
  return h("div", { class: "state bad", role: "alert" }, h("strong", {}, error.title),
    h("span", {}, error.message), id, button && h("p", {}, button));
}

// --- words ---------------------------------------------------------------------------------------

const STATUS = {
  PENDING: ["○", "Pending"],
  IN_PROGRESS: ["◐", "In progress"],
  COMPLETED: ["✓", "Completed"],
  FAILED: ["✕", "Failed"],
  CANCELLED: ["⊘", "Cancelled"],
};
const PHASE = {
  queued: "waiting to be sent",
  submitting: "being sent",
  submit_unconfirmed: "sent, not confirmed",
  accepted: "accepted",
  rendering: "rendering",
  confirming: "being confirmed",
  finished: "finished",
};
const EVIDENCE = {
  callback: "by callback",
  poll: "by poll",
  submit: "by submission",
  deadline: "by deadline",
  user: "by its user",
};

export const statusWord = (status) => STATUS[status]?.[1] ?? status;
export const phaseWord = (phase) => PHASE[phase] ?? phase;
export const evidenceWord = (evidence) => EVIDENCE[evidence] ?? evidence ?? "not yet";
export const STATUSES = Object.keys(STATUS);

/** A state as a shape, a colour and a word. */
export function chip(kind, word = statusWord(kind), shape = STATUS[kind]?.[0]) {
  return h("span", { class: `chip ${kind.toLowerCase()}` },
    shape && h("span", { "aria-hidden": "true" }, shape), word);
}

/** Its label, or else its kind and the end of its id. */
export const titleOf = (job) => job.metadata.label
  || `${job.kind === "create_narrative" ? "Narrative" : "Movie"} …${job.request_id.slice(-6)}`;

export function progressBar(job) {
  const percent = Math.floor(job.progress ?? 0);
  const words = job.progress == null ? "no progress told" : `${percent} %`;
  return h("span", { class: `progress ${job.status.toLowerCase()}` },
    h("progress", { max: 100, value: percent, "aria-label": `Progress of ${titleOf(job)}` }),
    h("span", { class: "number" }, job.progress == null ? "–" : words));
}

// --- times ---------------------------------------------------------------------------------------

const exact = new Intl.DateTimeFormat([], {
  dateStyle: "medium", timeStyle: "long", hour12: false,
});
const clock = new Intl.DateTimeFormat([], {
  hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hour12: false,
});

/** A duration in one unit, such as `12 s`; `fine` shows parts of seconds. */
export function duration(ms, fine = false) {
  if (fine && ms < 1000) return `${ms} ms`;
  if (ms < 60_000) return `${fine && ms < 10_000 ? (ms / 1000).toFixed(1) : Math.floor(ms / 1000)} s`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min`;
  if (ms < 172_800_000) return `${Math.floor(ms / 3_600_000)} h`;
  return `${Math.floor(ms / 86_400_000)} d`;
}

// The service's clock may be ahead of this machine's: what it told just now is not in the future.
const ago = (iso) => `${duration(Math.max(0, Date.now() - Date.parse(iso)))} ago`;

/** How long ago, kept current; the exact time in its title. */
export function age(iso) {
  const title = exact.format(new Date(iso));
  return h("time", { datetime: iso, title, "data-ago": true }, ago(iso));
}

export function clockTime(iso) {
  const moment = new Date(iso);
  return h("time", { datetime: iso, title: exact.format(moment) }, clock.format(moment));
}

setInterval(() => {
  for (const element of document.querySelectorAll("time[data-ago]")) {
    const text = ago(element.dateTime);
    if (element.textContent !== text) element.textContent = text;
  }
}, 1000);
