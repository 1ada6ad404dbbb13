// Applies the stored theme before the first paint, so that nothing flashes.
try {
  const theme = localStorage.getItem("theme");
  if (theme) document.documentElement.dataset.theme = theme;
} catch {
  // No storage: use the system's theme.
}
