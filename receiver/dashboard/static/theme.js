// The theme: the system's, or the one that the button selects. This runs before the first paint, so
// that nothing flashes.
{
  const THEMES = { "": "Auto", light: "Light", dark: "Dark" };
  const KEY = "receiver-theme";
  const { dataset } = document.documentElement;
  let storage = {};
  try {
    storage = localStorage;
  } catch {
    // Not allowed: the choice lasts until the page is closed.
  }

  const apply = (theme) => {
    if (theme) dataset.theme = theme;
    else delete dataset.theme;
  };

  apply(storage[KEY] in THEMES ? storage[KEY] : "");
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    if (!button) return; // as in /docs
    const describe = () => {
      const name = THEMES[dataset.theme ?? ""];
      button.textContent = `◐ ${name}`;
      button.setAttribute("aria-label", `Theme: ${name}`);
    };
    button.addEventListener("click", () => {
      const names = Object.keys(THEMES);
      storage[KEY] = names[(names.indexOf(dataset.theme ?? "") + 1) % names.length];
      apply(storage[KEY]);
      describe();
    });
    describe();
  });
}
