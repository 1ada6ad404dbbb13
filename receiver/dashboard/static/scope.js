// Whose jobs an admin sees: all users', or one user's (`?user=NAME` in the URL).

import { change, here } from "./address.js";
import { get } from "./api.js";
import { h } from "./dom.js";
import { EVERYBODY } from "./live.js";

const MOST_USERS = 200;

/** The `user` parameter of lists; null for non-admins, who see their own. */
export function scopeOf(user) {
  return user.admin ? here().query.get("user") || EVERYBODY : null;
}

/** Whether all users' rows are shown, so that each row must name its user. */
export const isEverybodys = (user) => scopeOf(user) === EVERYBODY;

/** A user selector for admins; `changed` is called after each change of the URL. */
export function scopeControl(user, changed) {
  const select = h("select", { name: "user", change: choose });
  offer([{ user: user.name }]);
  get(`/v1/users?limit=${MOST_USERS}`).then((page) => offer(page.users, page.next_cursor), () => {});

  function choose() {
    change({ user: select.value === EVERYBODY ? null : select.value });
    changed();
  }

  function offer(users, hasMore) {
    const now = scopeOf(user); // one may have been chosen before the others were known
    const names = new Set([...users.map((each) => each.user), ...(now === EVERYBODY ? [] : [now])]);
    select.replaceChildren(h("option", { value: EVERYBODY }, "All users"),
      ...[...names].sort().map((name) =>
        h("option", { value: name }, name === user.name ? `${name} (you)` : name)),
      ...(hasMore ? [h("option", { disabled: true }, "More: #/?user=NAME in the address")] : []));
    select.value = now;
  }

  return h("label", {}, h("span", {}, "User"), select);
}
