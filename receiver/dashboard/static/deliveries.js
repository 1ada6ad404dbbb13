// The list of deliveries: filters, and sending again one or all.

import { change, here, keepRows, link, place } from "./address.js";
import { sendAgain, testWebhook } from "./actions.js";
import { get, post, withQuery } from "./api.js";
import { askFirst } from "./dialog.js";
import { face, failure, h, main } from "./dom.js";
import { jobs, put } from "./live.js";
import { isEverybodys, scopeChoice, scopeOf } from "./scope.js";
import { age, duration, until } from "./times.js";
import { DELIVERY_STATES, deliveryChip, deliveryWord, statusWord, titleOf } from "./words.js";

const REFRESH = 5000;
const PAGE = 50;
const LARGEST_PAGE = 200;
const NAMED_AT_ONCE = 50;
const GIVEN_UP = ["exhausted", "disabled"];

/** Show the deliveries until `signal`; resolves when the first rows are shown. */
export function showDeliveries(user, signal) {
  const list = h("ul", { class: "rows", "aria-label": "Deliveries" });
  const note = h("div", { "aria-live": "polite" }, face("Loading…"));
  const more = h("button", { type: "button", hidden: true, click: () => load(true) }, "Show older");
  const together = h("button", { type: "button", hidden: true, click: () => sendAll(user, signal, soon) });
  let cursor = null;
  let older = false;
  let pause = 0;
  let loading = null;

  main.replaceChildren(
    h("div", { class: "title" }, h("h1", {}, "Deliveries"), h("span", { class: "tools" }, together,
      h("button", { type: "button", click: () => testWebhook(signal) }, "Send a test"))),
    h("p", { class: "hint" }, "Webhooks to the URLs that jobs were submitted with."),
    toolbar(user, () => {
      list.replaceChildren();
      load(false);
    }, signal),
    list, note, h("p", {}, more),
  );

  const asked = () => {
    const { query } = here();
    const text = (name) => query.get(name);
    return { state: text("state"), host: text("host"), request_id: text("request_id") };
  };

  async function load(next, unasked = false, limit = PAGE) {
    clearTimeout(pause);
    const mine = (loading = {});
    const filter = asked();
    older = next || limit > PAGE;
    together.hidden = !GIVEN_UP.includes(filter.state);
    together.textContent = "Send all of these again";
    try {
      const page = await get(withQuery("/v1/deliveries",
        { ...filter, user: scopeOf(user), limit, cursor: next ? cursor : null }));
      if (signal.aborted || mine !== loading) return;
      if (unasked && busy()) {
        pause = setTimeout(refresh, REFRESH);
        return;
      }
      cursor = page.next_cursor;
      more.hidden = cursor === null;
      const items = page.deliveries.map((each) => row(each, isEverybodys(user), signal, soon));
      if (next) list.append(...items);
      else list.replaceChildren(...items);
      keepRows(list.childElementCount);
      nameJobs(list);
      const some = Object.values(filter).some(Boolean);
      note.replaceChildren(list.childElementCount > 0 ? "" : face("No deliveries",
        some ? "None match these filters." : "The webhooks of jobs with a webhook URL appear here."));
    } catch (error) {
      if (signal.aborted || mine !== loading) return;
      note.replaceChildren(failure(error, () => load(next)));
    }
    pause = setTimeout(refresh, REFRESH);
  }

  const soon = () => setTimeout(load, 500, false);

  // Do not replace older pages that were loaded, or a button that is in use.
  const busy = () => older || list.contains(document.activeElement) || document.hidden
    || document.querySelector("dialog[open]") !== null;

  // Checked again after the response, since the list may be in use by then.
  function refresh() {
    if (busy()) pause = setTimeout(refresh, REFRESH);
    else load(false, true);
  }

  signal.addEventListener("abort", () => clearTimeout(pause));
  return load(false, false, Math.min(LARGEST_PAGE, Math.max(PAGE, place().rows)));
}

function row(delivery, withUser, signal, done) {
  const { attempts } = delivery;
  const last = attempts.at(-1);
  const job = jobs.get(delivery.request_id);
  const tries = last === undefined ? "no attempt yet"
    : `${attempts.length} ${attempts.length === 1 ? "attempt" : "attempts"}, last: ${last.error ?? last.status_code}`
      + ` in ${duration(last.duration_ms, true)}`;
  const next = delivery.state === "pending" && delivery.next_attempt_at
    && [" · next attempt ", until(delivery.next_attempt_at)];
  return h("li", {}, h("div", { class: "row delivery" },
    h("span", { class: "where" }, deliveryChip(delivery.state)),
    h("span", { class: "what" },
      h("a", { href: link(`/deliveries/${encodeURIComponent(delivery.id)}`) },
        h("span", { "data-job": job ? null : delivery.request_id }, job ? titleOf(job) : delivery.request_id),
        ` · ${statusWord(delivery.status)}`),
      h("small", {}, withUser && `${delivery.user} · `, tries, next)),
    h("small", { class: "age" }, age(delivery.created_at)),
    h("span", { class: "act" }, delivery.state !== "pending" && sendAgain(delivery.id, signal, done))));
}

/** Replace the ids of unknown jobs by their titles. */
async function nameJobs(list) {
  const unnamed = [...list.querySelectorAll("[data-job]")];
  const ids = [...new Set(unnamed.map((span) => span.dataset.job))].slice(0, NAMED_AT_ONCE);
  await Promise.all(ids.map(async (id) => put(await get(`/v1/jobs/${encodeURIComponent(id)}`)))).catch(() => {});
  for (const span of unnamed) {
    const job = jobs.get(span.dataset.job);
    if (job) span.replaceChildren(titleOf(job));
  }
}

/** Send all deliveries again that were given up and match the filters, after confirmation. */
function sendAll(user, signal, done) {
  const { query } = here();
  const body = { state: query.get("state") };
  for (const name of ["host", "request_id"]) if (query.get(name)) body[name] = query.get(name);
  const which = [body.host && ` to ${body.host}`, body.request_id && ` of ${body.request_id}`,
    isEverybodys(user) && " of every user"].filter(Boolean).join(",");
  askFirst({
    title: "Send all of these again?",
    text: `This sends every delivery${which} in the state “${deliveryWord(body.state)}” now, within the sending`
      + " limits; if that fails, retries follow the schedule. Receivers may get a message twice.",
    action: "Send all again", signal,
    async act() {
      await post(withQuery("/v1/deliveries/retry", { user: scopeOf(user) }), body);
      done();
    },
  });
}

function toolbar(user, changed, signal) {
  const { query } = here();
  let pause = 0;
  signal.addEventListener("abort", () => clearTimeout(pause));
  const set = (parameters) => {
    change(parameters);
    changed();
  };
  const text = (name, label, placeholder) => h("label", { class: "wide" }, h("span", {}, label),
    h("input", {
      type: "search", name, value: query.get(name) ?? "", placeholder, autocomplete: "off",
      input(event) {
        clearTimeout(pause);
        pause = setTimeout(set, 300, { [name]: event.target.value.trim() });
      },
    }));
  return h("div", { class: "toolbar", role: "search" },
    text("host", "Host", "hooks.example.com"), text("request_id", "Job", "job_…"),
    h("label", {}, h("span", {}, "State"),
      h("select", { change: (event) => set({ state: event.target.value }) },
        h("option", { value: "" }, "All"),
        DELIVERY_STATES.map((value) =>
          h("option", { value, selected: query.get("state") === value }, deliveryWord(value))))),
    user.admin && scopeChoice(user, (name) => set({ user: name })));
}
