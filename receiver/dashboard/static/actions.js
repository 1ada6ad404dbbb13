// Actions on jobs and deliveries. All but `createJob` ask for confirmation.

import { link } from "./address.js";
import { attemptAdvice } from "./advice.js";
import { get, limited, post, randomKey, request, withQuery } from "./api.js";
import { confirmAction } from "./dialog.js";
import { announce, h, once, tell } from "./dom.js";
import { jsonView } from "./json.js";
import { storeJob } from "./live.js";
import { duration } from "./times.js";
import { titleOf } from "./words.js";

/** How many messages that wait are counted. */
const MOST_COUNTED = 200;
/** The submissions that have not succeeded: their Idempotency-Keys, and whether an answer was lost. */
const attempts = new Map();
/** By job: the webhook of its repetition whose answer was lost. The next try must be the same. */
const unanswered = new Map();

/**
 * Create a job and open it. If `signal` was aborted meanwhile, the user is elsewhere, and the outcome
 * is only shown as a message. `again` is the id of the job that this one repeats.
 */
export async function createJob(body, signal, again = "") {
  // With the same key, submitting again after a lost answer creates no second job.
  const text = again + JSON.stringify(body);
  if (!attempts.has(text)) attempts.set(text, { key: randomKey(), isUnknown: false });
  const attempt = attempts.get(text);
  const headers = { "Idempotency-Key": attempt.key };
  try {
    const job = await request("POST", "/v1/jobs", { body, headers, signal: limited() });
    attempts.delete(text);
    if (signal.aborted) {
      tell("The job was created.");
      return;
    }
    announce("The job was created.");
    storeJob(job);
    location.hash = link(`/jobs/${job.request_id}`);
  } catch (error) {
    const isLost = error.code === null; // no answer, or a proxy's
    if (isLost) error.message += " It is not known whether the job was created. Trying again without changes is safe.";
    attempt.isUnknown ||= isLost || error.code === "outcome_unknown";
    if (signal.aborted) tell(attempt.isUnknown ? error.message : `The job was not submitted. ${error.message}`);
    throw Object.assign(error, { isUnknown: attempt.isUnknown });
  }
}

/** Cancel a job, after confirmation. */
export function cancelJob(job, signal) {
  confirmAction({
    title: "Cancel this job?",
    text: "It is cancelled at once. If it was already sent, the provider may continue and bill it.",
    action: "Cancel the job", keep: "Keep it", danger: true, signal,
    act: async () => storeJob(await post(`/v1/jobs/${job.request_id}/cancel`)),
  });
}

/** Submit a new job with an old one's input, after confirmation, and open it. */
export async function submitAgain(job, signal) {
  const { url, hint } = await webhookOf(job, signal);
  if (signal.aborted) return;
  const last = unanswered.get(job.request_id);
  const webhook = h("input", { type: "url", id: "again-webhook", autocomplete: "off", placeholder: "none",
    value: last ?? url, "aria-describedby": "again-hint" });
  const billed = job.error?.may_have_been_billed || job.status === "COMPLETED"
    ? " The first job was billed, or may have been." : "";
  confirmAction({
    title: ["Submit “", h("bdi", {}, titleOf(job)), "” again?"],
    text: `This creates a new job with the same input. The provider (${job.provider}) is paid again.${billed}`,
    content: [
      h("div", { class: "field" }, h("label", { for: "again-webhook" }, "Webhook"), webhook,
        h("small", { id: "again-hint" }, `${last === undefined ? hint : "The last try's URL."} The new one gets all events but progress.`)),
      h("details", {}, h("summary", {}, "Input"), jsonView(job.input, "the input")),
    ],
    action: "Submit and pay again", signal,
    async act() {
      const { provider, kind, input, metadata } = job;
      const body = { provider, kind, input, metadata };
      if (webhook.value.trim()) body.webhookUrl = webhook.value.trim();
      try {
        await createJob(body, signal, job.request_id);
      } catch (error) {
        if (error.isUnknown) unanswered.set(job.request_id, webhook.value);
        throw error;
      }
      unanswered.delete(job.request_id);
    },
  });
}

/** The URL of the job's last webhook, empty if there is none, and a sentence about it. */
async function webhookOf(job, signal) {
  try {
    const path = `/v1/deliveries?limit=1&request_id=${encodeURIComponent(job.request_id)}`;
    const { deliveries: [last] } = await get(path, signal);
    if (!last) return { url: "", hint: "No webhook was sent for the first job." };
    const { url } = await get(`/v1/deliveries/${encodeURIComponent(last.id)}`, signal);
    return { url, hint: "The first job's URL." };
  } catch (error) {
    return { url: "", hint: `The first job's URL could not be read. ${error.message}` };
  }
}

/** Ask for a URL, send it a signed test message, and show the answer. */
export function testWebhook(signal) {
  const url = h("input", { type: "url", id: "test-url", autocomplete: "off", placeholder: "https://" });
  confirmAction({
    title: "Send a test message",
    text: "This sends a signed message of type “test” to a URL. The rules for webhook URLs apply.",
    content: h("div", { class: "field" }, h("label", { for: "test-url" }, "URL"), url),
    action: "Send it", keep: "Close", signal,
    async act() {
      const { status_code: status, error, duration_ms: took, excerpt } =
        await post("/v1/webhook-tests", { url: url.value.trim() }, signal);
      const good = status >= 200 && status < 300;
      const waiting = good ? await sendWaiting(url.value.trim(), signal) : "";
      return h("div", { class: good ? "notice good" : "notice bad", role: "status" },
        h("strong", {}, error ?? `HTTP ${status}`), ` after ${duration(took, true)}. `,
        attemptAdvice({ error, status_code: status }),
        waiting,
        excerpt && h("pre", { tabindex: 0, "aria-label": "Response body" }, excerpt));
    },
  });
}

/** How many messages wait for the host of `url`, and a button that sends them now. */
async function sendWaiting(url, signal) {
  const { hostname, port, protocol } = new URL(url);
  const host = `${hostname}:${port || (protocol === "http:" ? 80 : 443)}`;
  const query = { state: "pending", host, limit: MOST_COUNTED };
  const { deliveries, next_cursor: more } = await get(withQuery("/v1/deliveries", query), signal);
  if (deliveries.length === 0) return "";
  const count = more ? `More than ${deliveries.length} messages wait` : deliveries.length === 1
    ? "One message waits" : `${deliveries.length} messages wait`;
  const words = h("span", {}, `${count} for ${host}. `);
  const go = h("button", { type: "button", class: "small", click: () => once(go, send) }, "Send them now");
  async function send() {
    const { retried } = await post("/v1/deliveries/retry", { state: "pending", host });
    words.textContent = `${retried} queued.`;
    go.remove();
  }
  return h("p", {}, words, go);
}

/** A button that sends a delivery again, after confirmation. */
export function sendAgain(delivery, signal, done) {
  const words = h("small", { role: "status" });
  const ask = () => confirmAction({
    title: "Send this webhook again?",
    text: "It is sent now with the same webhook-id; if that fails, retries follow the schedule. If your"
      + " endpoint already has it, it gets it twice.",
    action: "Send it again", signal,
    async act() {
      await post(`/v1/deliveries/${encodeURIComponent(delivery)}/retry`);
      words.textContent = "Queued.";
      setTimeout(() => words.replaceChildren(), 3000);
      done();
    },
  });
  return h("span", { class: "again" },
    h("button", { type: "button", class: "small", click: ask }, "Send again"), words);
}
