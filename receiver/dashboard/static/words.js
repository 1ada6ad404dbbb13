// Names and looks of states.

import { h } from "./dom.js";

const STATUS = {
  PENDING: ["○", "Pending"],
  IN_PROGRESS: ["◐", "In progress"],
  COMPLETED: ["✓", "Completed"],
  FAILED: ["✕", "Failed"],
  CANCELLED: ["⊘", "Cancelled"],
};
const DELIVERY = {
  pending: ["○", "Pending"],
  delivered: ["✓", "Delivered"],
  skipped: ["⤼", "Skipped"],
  exhausted: ["✕", "Given up"],
  disabled: ["⊘", "Turned off"],
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
  callback: "via callback",
  poll: "via poll",
  submit: "via submission",
  deadline: "at its deadline",
  user: "by its user",
};

export const statusWord = (status) => STATUS[status]?.[1] ?? status;
export const deliveryWord = (state) => DELIVERY[state]?.[1] ?? state;
export const phaseWord = (phase) => PHASE[phase] ?? phase;
export const evidenceWord = (evidence) => EVIDENCE[evidence] ?? evidence ?? "not yet";
export const STATUSES = Object.keys(STATUS);
export const DELIVERY_STATES = Object.keys(DELIVERY);

/** A state shown as a shape, a colour and a word. */
export function chip(kind, word = statusWord(kind), shape = STATUS[kind]?.[0]) {
  return h("span", { class: `chip ${kind.toLowerCase()}` },
    shape && h("span", { "aria-hidden": "true" }, shape), word);
}

export const deliveryChip = (state) => chip(state, deliveryWord(state), DELIVERY[state]?.[0]);

const KIND = { create_movie: "Movie", create_narrative: "Narrative" };

export const kindWord = (kind) => KIND[kind] ?? kind;

/** A job's title: its metadata label, its prompt, or its kind and id. */
export const titleOf = (job) => job.metadata.label || job.label
  || `${kindWord(job.kind)} …${job.request_id.slice(-6)}`;

export function progressBar(job) {
  const percent = Math.floor(job.progress ?? 0);
  return h("span", { class: `progress ${job.status.toLowerCase()}` },
    h("progress", { max: 100, value: percent, "aria-label": `Progress of ${titleOf(job)}` }),
    h("span", { class: "number" }, job.progress == null ? "–" : `${percent} %`));
}
