// Whose jobs an admin sees: all users', or one user's (`?user=NAME` in the URL).

import { change, here } from "./address.js";
import { get } from "./api.js";
import { h } from "./dom.js";
import { EVERYBODY } from "./live.js";

/** The `user` parameter of lists; null for non-admins, who see their own. */
export function scopeOf(user) {
  return user.admin ? here().query.get("user") || EVERYBODY : null;
}

/** Whether all users' rows are shown, so that each row must name its user. */
export const isEverybodys = (user) => scopeOf(user) === EVERYBODY;

/** A user selector for admins; `changed` is called after each change of the URL. */
export function scopeControl(user, changed) {
  const now = scopeOf(user);
  const select = h("select", { name: "user", change: choose });
  offer([now === EVERYBODY ? user.name : now]);
  get("/v1/users?limit=200").then(({ users }) => offer(users.map(({ user: name }) => name)), () => {});

  function choose() {
    change({ user: select.value === EVERYBODY ? null : select.value });
    changed();
  }

  function offer(names) {
    const known = [...new Set([...names, ...(now === EVERYBODY ? [] : [now])])].sort();
    select.replaceChildren(h("option", { value: EVERYBODY }, "All users"),
      ...known.map((name) => h("option", { value: name }, name === user.name ? `${name} (you)` : name)));
    select.value = now;
  }

  return h("label", {}, h("span", {}, "User"), select);
}
