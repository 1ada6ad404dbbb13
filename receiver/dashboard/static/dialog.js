// A confirmation dialog.

import { failure, h } from "./dom.js";

let count = 0;

/**
 * Ask for confirmation, then run `act`. If it throws, the dialog stays and shows the error; if it
 * returns an element, the dialog stays and shows that. `signal` closes the dialog with its view.
 */
export function askFirst({ title, text, content, action, danger = false, keep = "Cancel", act, signal }) {
  const problem = h("div", {});
  const id = `dialog-${(count += 1)}`;
  const go = h("button", { type: "button", class: danger ? "danger" : "primary", click: run }, action);
  const dialog = h("dialog", { "aria-labelledby": id, close: () => dialog.remove() },
    h("h2", { id }, title), [text].flat().map((each) => h("p", {}, each)), content, problem,
    h("p", { class: "actions" }, go,
      h("button", { type: "button", click: () => dialog.close() }, keep)));

  async function run() {
    go.disabled = true;
    problem.replaceChildren();
    try {
      const shown = await act();
      if (!shown) dialog.close();
      problem.replaceChildren(shown ?? "");
      go.disabled = false;
    } catch (error) {
      problem.replaceChildren(failure(error));
      go.disabled = false;
    }
  }

  signal?.addEventListener("abort", () => dialog.close());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
