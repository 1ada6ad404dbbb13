// Helpers for creating elements.

/** Milliseconds for which a message is shown. */
const TOLD = 10_000;

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

/**
 * Make `elements` the children of `parent`. Those that are in place already keep their focus; what
 * takes the place of a removed one gets that one's focus, or else `main`.
 */
export function arrange(parent, elements) {
  const kept = new Set(elements);
  const old = [...parent.children];
  const lost = old.findIndex((child) => !kept.has(child) && child.contains(document.activeElement));
  const focused = lost < 0 ? -1 : controls(old[lost]).indexOf(document.activeElement);
  for (const child of old) if (!kept.has(child)) child.remove();
  let next = parent.firstElementChild;
  for (const element of elements) {
    if (element === next) next = next.nextElementSibling;
    else parent.insertBefore(element, next);
  }
  if (lost < 0) return;
  controls(parent.children[lost] ?? parent.lastElementChild)[focused]?.focus({ preventScroll: true });
  if (document.activeElement === document.body) main.focus({ preventScroll: true });
}

const controls = (element) => [...(element?.querySelectorAll("a, button") ?? [])];

/**
 * Like `arrange`, but keeps children that are equal, or are failures with the same message: one may
 * have the focus, or be pressed.
 */
export function refill(parent, elements) {
  const old = [...parent.children];
  const isSame = (one, other) => one?.isEqualNode(other)
    || (one?.dataset.message && one.dataset.message === other.dataset.message);
  arrange(parent, elements.map((each, index) => (isSame(old[index], each) ? old[index] : each)));
}

/** Hide the element, or show it. If it has the focus, `heir` gets that: the browser would drop it. */
export function hide(element, isHidden, heir = main) {
  if (isHidden && element.contains(document.activeElement)) heir.focus({ preventScroll: true });
  element.hidden = isHidden;
}

/**
 * Run `work`; until it ends, further clicks on the button do nothing. Unlike `disabled`, this leaves
 * the focus on the button.
 */
export async function once(button, work) {
  if (button.ariaDisabled) return;
  button.ariaDisabled = "true";
  try {
    await work();
  } finally {
    button.ariaDisabled = null;
  }
}

export const main = document.getElementById("main");

/** Announce a text to screen readers. */
export function announce(text) {
  document.getElementById("news").textContent = text;
}

let hiding = 0;

/** Show and announce the outcome of what was begun in another view. */
export function tell(text) {
  announce(text);
  const told = document.getElementById("told");
  told.textContent = text;
  told.hidden = false;
  clearTimeout(hiding);
  hiding = setTimeout(() => (told.hidden = true), TOLD);
}

/** What a view shows while it loads or is empty, with optional actions. */
export function placeholder(title, text, ...actions) {
  const words = [h("strong", {}, title), text && h("span", {}, text)];
  return h("div", { class: "state" }, words, actions.length > 0 && h("p", {}, actions));
}

/** An error message, with an optional button to try again. */
export function failure(error, again) {
  const id = error.requestId && h("small", {}, `Request ${error.requestId}`);
  const button = again && h("button", { type: "button", click: again }, "Try again");
  return h("div", { class: "state bad", role: "alert", "data-message": error.message }, h("strong", {}, error.title),
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
export const copyable = (text, what) =>
  h("span", { class: "copyable" }, h("code", {}, text), copyButton(text, what));

/** A list of names and values; empty values are left out. */
export function factList(pairs) {
  return h("dl", {}, pairs.filter(([, value]) => value != null && value !== "" && value !== false)
    .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

/** A box with a title. */
export const card = (title, ...content) =>
  h("section", { class: "card", "aria-label": title }, h("h2", {}, title), content);

/** The heads of a list's columns, for the eye: each row says by itself what it shows. */
export const columnHeads = (kind, names) =>
  h("div", { class: `heads ${kind}`, "aria-hidden": "true" }, names.map((name) => h("small", {}, name)));

/** A table that scrolls in its box; `rows` are elements. On a phone each cell names its column. */
export function table(name, columns, rows) {
  for (const row of rows) columns.forEach((column, index) => (row.cells[index].dataset.column = column));
  return h("div", { class: "scrolled", tabindex: 0, role: "region", "aria-label": `${name}, table` }, h("table", {},
    h("thead", {}, h("tr", {}, columns.map((column) => h("th", { scope: "col" }, column)))),
    h("tbody", {}, rows)));
}
