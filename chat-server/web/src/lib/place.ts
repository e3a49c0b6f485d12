/** The folder in which the page is, with a slash at its end: `/`, or `/chat/` where the chat is below a path. */
export function folder(path: string = typeof location === "undefined" ? "/" : location.pathname): string {
  return path.replace(/[^/]*$/, "");
}
