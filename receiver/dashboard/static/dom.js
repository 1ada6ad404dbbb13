// Helpers for creating elements.

/** Create an element. String children become text nodes, so untrusted text is never markup. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return element;
}

export const main = document.getElementById("main");

/** Announce a text to screen readers. */
export function announce(text) {
  document.getElementById("news").textContent = text;
}

/** A placeholder for a view without content: loading or empty, with optional actions. */
export function face(title, text, ...actions) {
  const words = [h("strong", {}, title), text && h("span", {}, text)];
  return h("div", { class: "state" }, words, actions.length > 0 && h("p", {}, actions));
}

/** An error message, with an optional button to try again. */
export function failure(error, again) {
  const id = error.requestId && h("small", {}, `Request ${error.requestId}`);
  const button = again && h("button", { type: "button", click: again }, "Try again");
  return h("div", { class: "state bad", role: "alert" }, h("strong", {}, error.title),
    h("span", {}, error.message), id, button && h("p", {}, button));
}

/** A button that copies `text`; `what` names it. */
export function copyButton(text, what) {
  const button = h("button", {
    type: "button", class: "copy", "aria-label": `Copy ${what}`, title: `Copy ${what}`, click: copy,
  }, "Copy");
  async function copy() {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
      announce(`Copied ${what}`);
    } catch {
      // Pages on plain HTTP may not write to the clipboard.
      button.textContent = "Not allowed here";
    }
    setTimeout(() => (button.textContent = "Copy"), 2000);
  }
  return button;
}

/** A machine-readable text with a copy button. */
export const copied = (text, what) =>
  h("span", { class: "copied" }, h("code", {}, text), copyButton(text, what));

/** A list of names and values; empty values are left out. */
export function factList(pairs) {
  return h("dl", {}, pairs.filter(([, value]) => value != null && value !== "" && value !== false)
    .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}
