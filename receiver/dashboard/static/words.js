// Names and looks of states.

import { h } from "./dom.js";

const JOB = {
  PENDING: ["○", "Pending"],
  IN_PROGRESS: ["◐", "In progress"],
  COMPLETED: ["✓", "Completed"],
  FAILED: ["✕", "Failed"],
  CANCELLED: ["⊘", "Cancelled"],
};
const DELIVERY = {
  pending: ["○", "Pending"],
  failing: ["!", "Failing"],
  delivered: ["✓", "Delivered"],
  skipped: ["⤼", "Skipped"],
  exhausted: ["✕", "Given up"],
  disabled: ["⊘", "Turned off"],
};
const STATES = { ...JOB, ...DELIVERY };
/** The state of a delivery as it is shown: a pending one whose attempts fail is `failing`. */
export const deliveryState = ({ state, failing }) => (failing ? "failing" : state);
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
  submit: "in answer to its submission",
  deadline: "at its deadline",
  user: "by its user",
};

/** A job's status or a delivery's state, as text. */
export const stateWord = (state) => STATES[state]?.[1] ?? state;
export const phaseWord = (phase) => PHASE[phase] ?? phase;
export const evidenceWord = (evidence) => EVIDENCE[evidence] ?? evidence ?? "none yet";

/** Pairs of value and text, for filters. */
export const STATUS_OPTIONS = Object.keys(JOB).map((status) => [status, stateWord(status)]);
export const DELIVERY_OPTIONS = Object.keys(DELIVERY).map((state) => [state, stateWord(state)]);

/** A state shown as a shape, a colour and a word. */
export function chip(state, word = stateWord(state), shape = STATES[state]?.[0]) {
  return h("span", { class: `chip ${state.toLowerCase()}` },
    shape && h("span", { "aria-hidden": "true" }, shape), word);
}

/** A job's title: `metadata.title`, the beginning of its prompt, or its kind and id. */
export const titleOf = (job) => job.metadata.title?.trim() || job.label
  || `${job.kind} …${job.request_id.slice(-6)}`;

export function progressBar(job) {
  const percent = job.progress == null ? null : Math.floor(job.progress);
  return h("span", { class: "progress" },
    h("progress", { max: 100, value: percent, "aria-label": `Progress of ${titleOf(job)}` }),
    h("span", { class: "number" }, percent === null ? "–" : `${percent} %`));
}
