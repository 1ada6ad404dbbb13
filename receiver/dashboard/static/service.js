// What an administrator must know of the service, in two lines; the rest is in its metrics. With
// replicas, it is that of the one that answers.

import { limited, request } from "./api.js";
import { card, h } from "./dom.js";
import { duration } from "./times.js";
import { chip } from "./words.js";

const LINE = /^receiver_(\w+)(?:\{(.*)\})? (\S+)$/gm;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;
const BREAKER = {
  closed: ["completed", "Answers", "✓"],
  half_open: ["warning", "Failed; one call at a time is tried", "!"],
  open: ["failed", "Fails; calls pause", "✕"],
};

/** The card, or a sentence if the metrics cannot be read. */
export async function serviceCard(signal) {
  try {
    return drawn(await request("GET", "/session/metrics", { signal: limited(signal), read: parsed }));
  } catch (error) {
    return card("Service", h("p", { class: "notice bad" }, `The metrics cannot be read: ${error.message}`));
  }
}

/** The samples that are not 0, by name: `[{labels, value}]`. */
function parsed(text) {
  const samples = [...text.matchAll(LINE)].map(([, name, labels = "", value]) => ({
    name, value: Number(value),
    labels: Object.fromEntries([...labels.matchAll(LABEL)].map(([, label, word]) => [label, word])),
  }));
  return Map.groupBy(samples.filter(({ value }) => value > 0), ({ name }) => name);
}

function drawn(samples) {
  const of = (name) => samples.get(name) ?? [];
  const sum = (name) => of(name).reduce((total, { value }) => total + value, 0);
  const names = (name, label) => of(name).map(({ labels }) => labels[label]).join(", ");
  const providers = of("provider_breaker").map(({ labels: { provider, state } }) =>
    [h("span", { class: "named" }, provider, " ", chip(...BREAKER[state])), " "]);
  const oldest = sum("relay_oldest_age_seconds") * 1000;
  const waits = [
    ["jobs", sum("jobs_waiting")],
    ["jobs sent, not confirmed", sum("submissions_unconfirmed")],
    ["webhooks", sum("relay_backlog"), oldest > 0 && `, the oldest for ${duration(oldest)}`],
    ["files for the archive", sum("archive_backlog")],
    ["webhook hosts with one attempt a minute", sum("relay_host_breakers_open")],
  ].filter(([, count]) => count > 0).map(([name, count, more]) => `${name} (${count}${more || ""})`).join(", ");
  const troubles = [
    [names("provider_credentials_refused", "provider"), "Our key is refused by"],
    [names("submissions_paused", "provider"), "Submissions pause, since the provider limits our rate:"],
    [names("status_calls_limited", "setting").replace(/\w+/g, "RECEIVER_$&"),
      "Outcomes come late: status calls are at the limit of"],
    [sum("retention_paused") > 0 && "the clock was set", "No old data is removed:"],
  ].filter(([what]) => what);
  return card("Service",
    h("p", {}, providers),
    h("p", {}, waits ? `Waiting: ${waits}.` : "Nothing waits."),
    troubles.map(([what, words]) => h("p", { class: "notice bad" }, `${words} ${what}.`)));
}
