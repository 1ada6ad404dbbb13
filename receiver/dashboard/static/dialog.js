// A confirmation dialog.

import { failure, h, main, once } from "./dom.js";

/** Milliseconds after which an action that hangs can be left. */
const LONGEST_WAIT = 30_000;

let count = 0;

/**
 * Ask for confirmation, then run `act`. If it throws, the dialog stays and shows the error; if it
 * returns an element, the dialog stays and shows that. `signal` closes the dialog with its view.
 */
export function confirmAction({ title, text, content, action, danger = false, keep = "Cancel", act, signal }) {
  const closed = new AbortController();
  const result = h("div");
  const id = `dialog-${(count += 1)}`;
  const go = h("button", { class: danger ? "danger" : "primary" }, action);
  const stay = h("button", { type: "button", autofocus: danger, click: leave }, keep);
  const form = h("form", { submit: run, novalidate: true },
    h("h2", { id }, title), h("p", {}, text), content, result, h("p", { class: "actions" }, go, stay));
  const dialog = h("dialog", { "aria-labelledby": id, close: end, cancel: wait, keydown: ignoreRepeated }, form);

  function run(event) {
    event.preventDefault();
    return once(go, async () => {
      result.replaceChildren();
      stay.ariaDisabled = "true";
      dialog.closedBy = "none"; // a browser lets `cancel` refuse only the first Escapes
      const timer = setTimeout(release, LONGEST_WAIT);
      try {
        const shown = await act();
        if (shown) result.replaceChildren(shown);
        else dialog.close();
      } catch (error) {
        result.replaceChildren(failure(error));
      } finally {
        clearTimeout(timer);
        release();
      }
    });
  }

  function release() {
    stay.ariaDisabled = null;
    dialog.closedBy = "closerequest";
  }

  function leave() {
    if (!stay.ariaDisabled) dialog.close();
  }

  function end() {
    closed.abort();
    dialog.remove();
    // The button that opened it may be gone.
    if (document.activeElement === document.body) main.focus({ preventScroll: true });
  }

  // The answer to an action under way must be seen.
  function wait(event) {
    if (stay.ariaDisabled) event.preventDefault();
  }

  // The Enter that opened the dialog may still be held down.
  function ignoreRepeated(event) {
    if (event.repeat && event.key === "Enter") event.preventDefault();
  }

  signal.addEventListener("abort", () => dialog.close(), { signal: closed.signal });
  document.body.append(dialog);
  dialog.showModal();
}
