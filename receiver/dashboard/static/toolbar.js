// Filters above a list. Each is a parameter of the page's URL.

import { change, here } from "./address.js";
import { h } from "./dom.js";

const TYPING_PAUSE = 250;

/** The box around filters. */
export const toolbar = (...filters) => h("div", { class: "toolbar", role: "search" }, filters);

/** Functions that make filters; `changed` is called after each change of the URL, until `signal`. */
export function filterControls(changed, signal) {
  function set(name, value) {
    change({ [name]: value });
    changed();
  }

  function text(name, label, placeholder) {
    let timer = 0;
    signal.addEventListener("abort", () => clearTimeout(timer));
    const typed = (event) => {
      clearTimeout(timer);
      timer = setTimeout(set, TYPING_PAUSE, name, event.target.value.trim());
    };
    return h("label", { class: "wide" }, h("span", {}, label), h("input", {
      type: "search", name, value: here().query.get(name), placeholder, autocomplete: "off", input: typed,
    }));
  }

  /** `options` returns pairs of value and text; it is called again when the filter gets the focus. */
  function select(name, label, options) {
    const control = h("select", { name, focus: offer, change: (event) => set(name, event.target.value) });
    function offer() {
      const now = here().query.get(name) ?? "";
      const all = new Map([["", "All"], ...options()]);
      if (!all.has(now)) all.set(now, now);
      control.replaceChildren(...[...all].map(([value, words]) =>
        h("option", { value, selected: now === value }, words)));
    }
    offer();
    return h("label", {}, h("span", {}, label), control);
  }

  /** A local time; the URL has it in UTC. Without `max`, browsers accept six-digit years. */
  function time(name, label) {
    const typed = ({ target }) => {
      const ms = Date.parse(target.value);
      set(name, Number.isNaN(ms) ? "" : new Date(ms).toISOString());
    };
    return h("label", {}, h("span", {}, label), h("input", {
      type: "datetime-local", name, value: localTime(here().query.get(name)), max: "9999-12-31T23:59",
      change: typed,
    }));
  }

  return { text, select, time };
}

/** An ISO time as the value of a `datetime-local` input; empty if it is not one. */
function localTime(iso) {
  const ms = Date.parse(iso);
  if (Number.isNaN(ms)) return "";
  return new Date(ms - new Date(ms).getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
