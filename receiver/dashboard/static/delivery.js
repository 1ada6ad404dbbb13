// One delivery: its message, its headers, and the response to each attempt.

import { backLink, link } from "./address.js";
import { sendAgain } from "./actions.js";
import { attemptAdvice } from "./advice.js";
import { get } from "./api.js";
import { nextAttempt } from "./deliveries.js";
import { copyable, copyButton, factList, failure, h, main, placeholder, refill } from "./dom.js";
import { jsonView } from "./json.js";
import { repeat } from "./repeat.js";
import { age, clockTime, duration, zone } from "./times.js";
import { chip, deliveryState, titleOf } from "./words.js";

const REFRESH = 5000;
/** A delivery that is gone does not come back. */
const GONE = 3_600_000;

/** Show the delivery `id` until `signal`; resolves when it is shown. */
export function showDelivery(user, signal, id) {
  const path = `/v1/deliveries/${encodeURIComponent(id)}`;
  const head = h("div", {}, h("h1", {}, "Delivery"), placeholder("Loading…"));
  const attempts = h("section", { "aria-label": "Attempts" });
  const message = h("section", { "aria-label": "Message" });
  const refresh = repeat({ signal, period: REFRESH, read, failed });
  const again = sendAgain(id, signal, () => refresh.soon(500));
  let label = null;
  let shown = "";

  main.replaceChildren(h("p", {}, backLink("/deliveries", "← Deliveries")), head,
    h("div", { class: "split" }, attempts, message));

  async function read(current) {
    const delivery = await get(path, current);
    const jobPath = `/v1/jobs/${encodeURIComponent(delivery.request_id)}`;
    label ??= await get(jobPath, current).then(titleOf, () => null);
    const text = JSON.stringify(delivery);
    // Without changes, keep what is opened or selected.
    if (current.aborted || text === shown) return;
    shown = text;
    show(delivery);
  }

  function failed(error) {
    if (error.isGone) {
      attempts.replaceChildren();
      message.replaceChildren();
      head.replaceChildren(h("h1", {}, "Delivery"),
        placeholder("No such delivery", "It may have been removed with its job, or it belongs to another user."));
      return GONE;
    }
    // What is shown is out of date, but not wrong.
    if (!shown) refill(head, [h("h1", {}, "Delivery"), failure(error, refresh.now)]);
    return REFRESH;
  }

  function show(delivery) {
    const isFocused = again.contains(document.activeElement);
    document.title = `${delivery.body.type ?? "Webhook"} · receiver`;
    head.replaceChildren(
      h("div", { class: "title" }, h("h1", {}, delivery.body.type ?? "Webhook"), chip(deliveryState(delivery)), again),
      h("div", { class: "facts" }, factList([
        ["To", copyable(delivery.url, "the URL")],
        ["Id", copyable(delivery.id, "the webhook-id")],
        ["Job", h("a", { href: link(`/jobs/${encodeURIComponent(delivery.request_id)}`) },
          label ? `${label} (${delivery.request_id})` : delivery.request_id)],
        ["User", user.admin && delivery.user],
        ["Created", age(delivery.created_at)],
        ["Delivered", delivery.delivered_at && age(delivery.delivered_at)],
        ["Next attempt", delivery.next_attempt_at && h("span", {}, ...nextAttempt(delivery))],
      ])));
    attempts.replaceChildren(h("h2", {}, "Attempts"), attemptList(delivery.attempts));
    message.replaceChildren(
      h("h2", {}, "Body"), jsonView(delivery.body, "the body"),
      ...headerList(delivery.headers));
    if (isFocused) again.querySelector("button").focus({ preventScroll: true });
  }

  return refresh.now();
}

/** Newest first: the last attempt matters most. */
function attemptList(attempts) {
  if (attempts.length === 0) return h("p", { class: "hint" }, "None yet.");
  const items = attempts.map((attempt, index) => {
    const good = attempt.status_code >= 200 && attempt.status_code < 300;
    const advice = index === attempts.length - 1 && attemptAdvice(attempt);
    return h("li", { class: good ? "good" : "bad" },
      h("div", { class: "line" }, h("strong", {}, attempt.error ?? `HTTP ${attempt.status_code}`),
        h("small", { class: "age" }, age(attempt.at))),
      h("small", {}, `Attempt ${index + 1} at `, clockTime(attempt.at),
        ` ${zone}, took ${duration(attempt.duration_ms, true)}.`,
        !attempt.excerpt && (attempt.error ? " No response." : " The response had no body.")),
      attempt.excerpt
        && h("pre", { tabindex: 0, "aria-label": `Answer to attempt ${index + 1}` }, attempt.excerpt),
      advice && h("p", {}, advice));
  });
  return h("ol", { class: "attempts", reversed: true }, items.reverse());
}

function headerList(headers) {
  const names = Object.entries(headers);
  const title = h("h2", {}, "Headers of the last attempt");
  if (names.length === 0) return [title, h("p", { class: "hint" }, "Not sent yet.")];
  return [
    h("div", { class: "title" }, title,
      copyButton(names.map((pair) => pair.join(": ")).join("\n"), "the headers")),
    factList(names.map(([name, value]) => [name, h("code", {}, value)])),
    h("p", { class: "hint" }, "The signature (webhook-signature) is not stored."),
  ];
}
