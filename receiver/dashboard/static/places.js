// Places at the providers: how many jobs run there (are in flight), and which wait.

import { h } from "./dom.js";

/** Those that have a limit, or where a job waits. */
export const ofInterest = (places) => places.filter(({ limit, waiting }) => limit !== null || waiting > 0);

/** The jobs that run at a provider, of its places if it has a limit. */
export function placesUsed({ provider, limit, in_flight: used }) {
  if (limit === null) return `${used}, no limit`;
  return h("span", { class: "progress" },
    h("meter", { min: 0, max: limit, value: used, "aria-label": `Places used at ${provider}` }),
    h("span", { class: "number" }, `${used} of ${limit}`));
}

const REASONS = {
  pause: "for the end of a pause, since the provider answered “later” or failed",
  place: "for a place at the provider: as many jobs run there as may at once",
  turn: "for its turn: other submission calls are under way",
};

/** Why a job waits, and what goes first, for a list of facts. */
export function waitingFacts(waiting, place) {
  if (!waiting) return [];
  if (waiting.reason === "status_call") return [["Waits", `for a status call: ${waiting.detail} is the limit`]];
  return [
    ["Waits", REASONS[waiting.reason] ?? waiting.reason],
    ["Ahead of it", waiting.ahead === 0 ? "no other job of this user" : `${waiting.ahead} of this user's jobs`],
    ["Last attempt", waiting.detail],
    ["Running there", place && place.limit !== null && placesUsed(place)],
    ["Waiting here", place && `${place.waiting} jobs of all users`],
  ];
}
