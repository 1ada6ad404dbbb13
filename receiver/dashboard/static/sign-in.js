// The form that exchanges a key for a session.

import { post } from "./api.js";
import { h, main, once } from "./dom.js";

/** Show the form; `entered` is called with the new session. */
export function showSignIn(entered, notice) {
  document.title = "Sign in · receiver";
  const problem = h("div", { role: "alert" }, notice && h("p", { class: "notice" }, notice));
  const key = h("input", {
    id: "key", type: "password", autocomplete: "off", required: true, spellcheck: "false",
    "aria-describedby": "key-hint",
  });
  const go = h("button", { class: "primary" }, "Sign in");
  function submit(event) {
    event.preventDefault();
    return once(go, signIn);
  }
  async function signIn() {
    try {
      entered(await post("/session", { key: key.value }));
    } catch (error) {
      const isUnknown = error.code === "unauthorized";
      if (isUnknown) key.value = "";
      const words = isUnknown ? "No such key, or it has been revoked." : error.message;
      problem.replaceChildren(h("p", { class: "notice bad" }, words));
      key.focus();
    }
  }
  main.replaceChildren(h("form", { class: "form narrow", submit },
    h("h1", {}, "Sign in"),
    h("p", {}, "receiver submits slow, costly jobs to generation APIs, follows each to its end, and passes the result on.",
      " Here you see your jobs and your webhooks."), problem,
    h("div", { class: "field" }, h("label", { for: "key" }, "API key"), key,
      h("small", { id: "key-hint" }, "This page exchanges it for a session and does not keep it. ",
        h("code", {}, "receiver keys create NAME"), " creates one.")),
    h("p", { class: "actions" }, go)));
  key.focus();
}
