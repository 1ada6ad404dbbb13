// Holds on submissions to providers that limit our rate, for admins.

import { link } from "./address.js";
import { get, remove } from "./api.js";
import { confirmAction } from "./dialog.js";
import { card, h, refill } from "./dom.js";
import { repeat } from "./repeat.js";
import { until } from "./times.js";

const REFRESH = 10_000;

/** The current holds, updated until `signal`. */
export function holdsCard(signal) {
  const content = h("div", {}, h("p", { class: "hint" }, "Loading…"));
  const refresh = repeat({ signal, period: REFRESH, read, failed });

  async function read(current) {
    const { holds } = await get("/v1/holds", current);
    refill(content, shown(holds));
  }

  function failed(error) {
    refill(content, [h("p", { class: "notice bad" }, error.message)]);
  }

  function shown(holds) {
    if (holds.length === 0) return [h("p", {}, "None. Submissions are sent.")];
    const providers = [...new Set(holds.map(({ provider }) => provider))];
    return [
      h("ul", {}, holds.map(({ provider, user, status_code: status, until: endsAt, request_id: id }) => h("li", {},
        h("strong", {}, `${provider}: ${user ?? "all users"}`), ` got ${status}; next attempt `,
        until(endsAt), ". ", h("a", { href: link(`/jobs/${id}`) }, "Refused job")))),
      ...providers.map((provider) => h("button", {
        type: "button", class: "small", click: () => end(provider),
      }, `End the holds of ${provider}`)),
    ];
  }

  function end(provider) {
    confirmAction({
      title: `End the holds of ${provider}?`,
      text: "Submissions continue at once. If the provider refuses them again, they are held again.",
      action: "End the holds", signal,
      async act() {
        await remove(`/v1/holds/${encodeURIComponent(provider)}`);
        await refresh.now(); // before the dialog closes, and gives back the focus
      },
    });
  }

  refresh.now();
  return card("Holds", content);
}
