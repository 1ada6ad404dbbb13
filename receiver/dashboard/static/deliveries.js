// The webhooks that were sent to the user, or are to be.

import { get, withQuery } from "./api.js";
import { age, chip, face, failure, h, main, statusWord } from "./dom.js";
import { sendAgain } from "./job.js";

const STATES = {
  pending: ["○", "Pending"],
  delivered: ["✓", "Delivered"],
  skipped: ["⤼", "Skipped"],
  exhausted: ["✕", "Given up"],
  disabled: ["⊘", "Turned off"],
};
const REFRESH = 5000;

/** Show the deliveries until `signal`. */
export function showDeliveries(user, signal) {
  const list = h("ul", { class: "rows", "aria-label": "Deliveries" });
  const note = h("div", { "aria-live": "polite" }, face("Loading…"));
  const more = h("button", { type: "button", hidden: true, click: () => load(true) }, "Show older");
  let state = "";
  let cursor = null;
  let older = false;
  let pause = 0;
  let loading = null;

  const choose = (event) => {
    state = event.target.value;
    load(false);
  };
  main.replaceChildren(
    h("div", { class: "title" }, h("h1", {}, "Deliveries")),
    h("p", { class: "hint" }, "Webhooks to the addresses that jobs were submitted with."),
    h("div", { class: "toolbar" }, h("label", {}, h("span", {}, "State"),
      h("select", { change: choose }, h("option", { value: "" }, "All"),
        Object.entries(STATES).map(([value, [, word]]) => h("option", { value }, word))))),
    list, note, h("p", {}, more),
  );

  async function load(next, unasked = false) {
    clearTimeout(pause);
    const mine = (loading = {});
    older = next;
    try {
      const page = await get(withQuery("/v1/deliveries",
        { state, user: user.viewed, cursor: next ? cursor : null }));
      if (signal.aborted || mine !== loading) return;
      if (unasked && busy()) {
        pause = setTimeout(refresh, REFRESH);
        return;
      }
      cursor = page.next_cursor;
      more.hidden = cursor === null;
      const items = page.deliveries.map((each) => row(each, () => setTimeout(load, 500, false)));
      if (next) list.append(...items);
      else list.replaceChildren(...items);
      note.replaceChildren(list.childElementCount > 0 ? "" : face("No deliveries",
        state ? "None is in this state." : "A job that is submitted with a webhook address has some."));
    } catch (error) {
      if (signal.aborted || mine !== loading) return;
      note.replaceChildren(failure(error, () => load(next)));
    }
    pause = setTimeout(refresh, REFRESH);
  }

  // Older pages that somebody has asked for, or a button that is in use, are not pulled away.
  const busy = () => older || list.contains(document.activeElement) || document.hidden;

  // It may be taken into use while the answer is on its way, so this is asked twice.
  function refresh() {
    if (busy()) pause = setTimeout(refresh, REFRESH);
    else load(false, true);
  }

  signal.addEventListener("abort", () => clearTimeout(pause));
  load(false);
}

function row(delivery, done) {
  const { attempts } = delivery;
  const last = attempts.at(-1);
  const [shape, word] = STATES[delivery.state] ?? [null, delivery.state];
  const tries = attempts.length === 0 ? "no attempt yet"
    : `${attempts.length} ${attempts.length === 1 ? "attempt" : "attempts"}, last: ${last.error ?? last.status_code}`;
  return h("li", {}, h("div", { class: "row delivery" },
    h("span", { class: "where" }, chip(delivery.state, word, shape)),
    h("span", { class: "what" },
      h("a", { href: `#/jobs/${encodeURIComponent(delivery.request_id)}` },
        `${statusWord(delivery.status)} of ${delivery.request_id}`),
      h("small", {}, tries)),
    h("small", { class: "age" }, age(delivery.created_at)),
    h("span", { class: "act" }, delivery.state !== "pending" && sendAgain(delivery.id, done))));
}
