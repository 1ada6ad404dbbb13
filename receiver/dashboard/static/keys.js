// The user's signing secret; for admins also API keys: create, list, revoke.

import { get, post, remove, withQuery } from "./api.js";
import { confirmAction } from "./dialog.js";
import { card, copyable, factList, failure, h, hide, main, once, placeholder, table } from "./dom.js";
import { abortPrevious } from "./repeat.js";
import { age, HOUR, now } from "./times.js";
import { chip } from "./words.js";

const COLUMNS = ["Key", "User", "Name", "Rights", "Created", "Last used", "State"];
const PAGE = 200;

/** Show the keys until `signal`; resolves when they are shown. */
export function showKeys(user, signal) {
  if (!user.admin) {
    main.replaceChildren(h("div", { class: "title" }, h("h1", {}, "Keys")), signingSecret(signal));
    return null;
  }
  const note = h("div", { "aria-live": "polite" }, placeholder("Loading…"));
  const made = h("div", { "aria-live": "polite" });
  const list = h("div");
  const more = h("button", { type: "button", hidden: true, click: () => once(more, showOlder) }, "Show older");
  const nextLoad = abortPrevious(signal);
  let wanted = PAGE;

  main.replaceChildren(
    h("div", { class: "title" }, h("h1", {}, "Keys")),
    h("p", { class: "hint" }, "A user owns jobs and can hold several keys. A key is shown once, here or by ",
      h("code", {}, "receiver keys create"), "; only its hash is stored."),
    creation(made, load), made, list, note, h("p", {}, more), signingSecret(signal));

  async function load() {
    const current = nextLoad();
    try {
      const { keys, cursor } = await readPages(current);
      note.replaceChildren();
      list.replaceChildren(table("Keys", COLUMNS, keys.map((key) => keyRow(key, signal, load))));
      hide(more, cursor === null, list.firstElementChild);
    } catch (error) {
      if (!current.aborted) note.replaceChildren(failure(error, load));
    }
  }

  async function readPages(current) {
    const keys = [];
    let cursor = null;
    do {
      const page = await get(withQuery("/session/keys", { limit: PAGE, cursor }), current);
      keys.push(...page.keys);
      cursor = page.next_cursor;
    } while (cursor !== null && keys.length < wanted);
    return { keys, cursor };
  }

  function showOlder() {
    wanted += PAGE;
    return load();
  }

  return load();
}

/** The secret that signs the user's webhooks: shown or replaced once the key is entered again. */
function signingSecret(signal) {
  const button = (action, title, text, rotate) => h("button", {
    type: "button", click: () => askForKey({ action, title, text, rotate, signal }),
  }, action);
  return card("Your signing secret",
    h("p", { class: "hint" }, "It verifies the webhooks that you receive."),
    h("p", { class: "actions" },
      button("Show it", "Show your signing secret?", "Enter your API key again.", false),
      button("Replace it", "Replace your signing secret?",
        "For 24 hours webhooks are signed with both. Enter your API key again.", true)));
}

function askForKey({ action, title, text, rotate, signal }) {
  const key = h("input", { id: "secret-key", type: "password", autocomplete: "off", spellcheck: "false" });
  confirmAction({
    title, text, action, keep: "Close", signal,
    content: h("div", { class: "field" }, h("label", { for: "secret-key" }, "API key"), key),
    async act() {
      const { secret } = await post("/session/secret", { key: key.value, rotate });
      return copyable(secret, "the signing secret");
    },
  });
}

function creation(made, changed) {
  const name = h("input", {
    id: "key-user", name: "user", required: true, autocomplete: "off", spellcheck: "false", maxlength: 64,
    "aria-describedby": "key-user-hint",
  });
  const label = h("input", { id: "key-name", autocomplete: "off", maxlength: 64 });
  const admin = h("input", { type: "checkbox", name: "admin" });
  const hint = h("small", { id: "key-user-hint" }, "A new name creates a new user.");
  const go = h("button", { class: "primary" }, "Create a key");
  function submit(event) {
    event.preventDefault();
    return once(go, create); // a second click would make a second key, and show one of them
  }
  async function create() {
    name.removeAttribute("aria-invalid");
    hint.textContent = "A new name creates a new user.";
    try {
      const key = await post("/session/keys", { user: name.value.trim(), name: label.value.trim() || null, admin: admin.checked });
      form.reset();
      made.replaceChildren(newKey(key));
      changed();
    } catch (error) {
      name.setAttribute("aria-invalid", "true");
      hint.textContent = error.fieldErrors[0]?.detail ?? error.message;
      if (error.code === null) { // no answer: it may have been created
        hint.textContent += " If a new key is listed below, revoke it: it cannot be shown again.";
        changed();
      }
      name.focus();
    }
  }
  const form = h("form", { class: "inline", submit },
    h("div", { class: "field" }, h("label", { for: "key-user" }, "User"), name, hint),
    h("div", { class: "field" }, h("label", { for: "key-name" }, "Name"), label,
      h("small", {}, "Optional: what tells it from the user's others.")),
    h("label", { class: "check" }, admin, " Admin: sees every user's jobs, creates keys"), go);
  return form;
}

function newKey({ user, key, secret }) {
  return card(`New key of ${user}`,
    factList([["Key", copyable(key, "the key")], ["Signing secret", copyable(secret, "the signing secret")]]),
    h("p", { class: "notice" }, "Copy the key now: it is not shown again. The user verifies webhooks ",
      "with the secret."));
}

function keyRow(key, signal, changed) {
  return h("tr", { class: key.revoked_at ? "over" : null },
    h("th", { scope: "row" }, h("code", {}, `${key.prefix}…`)),
    h("td", {}, key.user, key.current && h("small", {}, " (this session)")),
    h("td", {}, key.name ?? "–"),
    h("td", {}, key.admin ? "admin" : "user"),
    h("td", {}, age(key.created_at)),
    h("td", {}, key.last_used_at ? lastUse(key.last_used_at) : "–"),
    h("td", {}, key.revoked_at ? [chip("cancelled", "Revoked", "⊘"), " ", age(key.revoked_at)]
      : h("button", { type: "button", class: "small", click: () => revoke(key, signal, changed),
        "aria-label": `Revoke ${key.prefix} of ${key.user}` }, "Revoke")));
}

/** It is known to the hour. */
const lastUse = (at) => (now() - Date.parse(at) < HOUR ? "in the last hour" : age(at));

function revoke(key, signal, changed) {
  confirmAction({
    title: `Revoke ${key.prefix}… of ${key.user}?`,
    text: "Within five seconds it stops working, and its streams and sessions end."
      + ` ${key.current ? "It is the key of this session: you will be signed out." : "Jobs continue."}`,
    action: "Revoke the key", keep: "Keep it", danger: true, signal,
    async act() {
      await remove(`/session/keys/${encodeURIComponent(key.prefix)}`);
      await changed(); // before the dialog closes, and gives back the focus
    },
  });
}
