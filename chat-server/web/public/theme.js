// Runs before the first paint. The key is that of src/lib/storage.ts, the attribute that of src/lib/state/ui.svelte.ts.
try {
  const folder = location.pathname.replace(/[^/]*$/, "");
  const theme = localStorage.getItem((folder === "/" ? "" : folder) + "chat.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage is forbidden here: the system's theme it is.
}
