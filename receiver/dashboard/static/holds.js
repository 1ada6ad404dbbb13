// Holds on submissions because a provider said "later", for admins.

import { link } from "./address.js";
import { ask, get } from "./api.js";
import { askFirst } from "./dialog.js";
import { h } from "./dom.js";
import { until } from "./times.js";

const REFRESH = 10_000;

/** The current holds, updated until `signal`. */
export function holdsCard(signal) {
  const content = h("div", {}, h("p", { class: "hint" }, "Loading…"));
  let pause = 0;

  async function load() {
    clearTimeout(pause);
    try {
      const { holds } = await get("/v1/holds");
      if (signal.aborted) return;
      content.replaceChildren(...shown(holds));
    } catch (error) {
      if (!signal.aborted) content.replaceChildren(h("p", { class: "notice bad" }, error.message));
    }
    pause = setTimeout(load, REFRESH);
  }

  function shown(holds) {
    if (holds.length === 0) return [h("p", {}, "None: submissions are sent.")];
    const providers = [...new Set(holds.map(({ provider }) => provider))];
    return [
      h("ul", {}, holds.map((hold) => h("li", {},
        h("strong", {}, `${hold.provider}: ${hold.user ?? "all users"}`), ` got ${hold.status_code}; next attempt `,
        until(hold.until), ". ", h("a", { href: link(`/jobs/${hold.request_id}`) }, "Refused job")))),
      ...providers.map((provider) => h("button", {
        type: "button", class: "small", click: () => end(provider),
      }, `End the holds of ${provider}`)),
    ];
  }

  function end(provider) {
    askFirst({
      title: `End the holds of ${provider}?`,
      text: "Submissions continue at once. If the provider still says “later”, they are held again.",
      action: "End the holds", signal,
      async act() {
        await ask("DELETE", `/v1/holds/${encodeURIComponent(provider)}`);
        load();
      },
    });
  }

  signal.addEventListener("abort", () => clearTimeout(pause));
  load();
  return h("section", { class: "card", "aria-label": "Holds" }, h("h2", {}, "Holds"), content);
}
