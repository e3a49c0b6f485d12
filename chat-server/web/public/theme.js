// Runs before the first paint. The key and the attribute are those of src/lib/state/ui.svelte.ts.
try {
  const theme = localStorage.getItem("chat.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage is forbidden here: the system's theme it is.
}
