// The button that selects the theme; `theme.js` applies the choice before the first paint.

const THEMES = { "": "Auto", light: "Light", dark: "Dark" };
const button = document.getElementById("theme");
const root = document.documentElement;

/** Activate the button. */
export function startThemeButton() {
  button.addEventListener("click", next);
  name();
}

function name() {
  const theme = THEMES[root.dataset.theme ?? ""];
  button.textContent = `◐ ${theme}`;
  button.setAttribute("aria-label", `Theme: ${theme}`);
}

function next() {
  const names = Object.keys(THEMES);
  const theme = names[(names.indexOf(root.dataset.theme ?? "") + 1) % names.length];
  if (theme) root.dataset.theme = theme;
  else delete root.dataset.theme;
  try {
    localStorage.setItem("theme", theme);
  } catch {
    // No storage: the choice lasts until the page is closed.
  }
  name();
}
