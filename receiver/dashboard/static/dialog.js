// A confirmation dialog.

import { failure, h } from "./dom.js";

let count = 0;

/**
 * Ask for confirmation, then run `act`. If it throws, the dialog stays and shows the error; if it
 * returns an element, the dialog stays and shows that. `signal` closes the dialog with its view.
 */
export function confirmAction({ title, text, content, action, danger = false, keep = "Cancel", act, signal }) {
  const result = h("div");
  const id = `dialog-${(count += 1)}`;
  const go = h("button", { type: "button", class: danger ? "danger" : "primary", click: run }, action);
  const dialog = h("dialog", { "aria-labelledby": id, close: () => dialog.remove() },
    h("h2", { id }, title), h("p", {}, text), content, result,
    h("p", { class: "actions" }, go,
      h("button", { type: "button", click: () => dialog.close() }, keep)));

  async function run() {
    go.disabled = true;
    result.replaceChildren();
    try {
      const shown = await act();
      if (shown) result.replaceChildren(shown);
      else dialog.close();
    } catch (error) {
      result.replaceChildren(failure(error));
    }
    go.disabled = false;
  }

  signal.addEventListener("abort", () => dialog.close());
  document.body.append(dialog);
  dialog.showModal();
}
