// Whose jobs an admin sees: all users', or one user's (`?user=NAME` in the URL).

import { get } from "./api.js";
import { here } from "./address.js";
import { h } from "./dom.js";
import { EVERYBODY } from "./live.js";

/** The `user` parameter of lists; null for non-admins, who see their own. */
export function scopeOf(user) {
  return user.admin ? here().query.get("user") || EVERYBODY : null;
}

/** Whether all users' rows are shown, so that each row must name its user. */
export const isEverybodys = (user) => scopeOf(user) === EVERYBODY;

/** A user selector for admins; `chosen` is called with the name, or null for all users. */
export function scopeChoice(user, chosen) {
  const now = scopeOf(user);
  const select = h("select", {
    name: "user", change: () => chosen(select.value === EVERYBODY ? null : select.value),
  });
  fill([now === EVERYBODY ? user.name : now]);
  get("/v1/users?limit=200").then(({ users }) => fill(users.map(({ user: name }) => name)), () => {});

  function fill(names) {
    const known = [...new Set([...names, ...(now === EVERYBODY ? [] : [now])])].sort();
    select.replaceChildren(h("option", { value: EVERYBODY }, "All users"),
      ...known.map((name) => h("option", { value: name }, name === user.name ? `${name} (you)` : name)));
    select.value = now;
  }

  return h("label", { class: "scope" }, h("span", {}, "User"), select);
}
