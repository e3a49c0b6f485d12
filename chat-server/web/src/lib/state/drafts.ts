import { KEYS, ofThisTab } from "../storage";

function read(): Record<string, string> {
  try {
    return (JSON.parse(ofThisTab.get(KEYS.drafts) ?? "{}") as Record<string, string> | null) ?? {};
  } catch {
    return {};
  }
}

/** What was begun in a room and not sent; it stays with the tab, also over a reload. */
export const drafts = {
  get(room: string): string {
    return read()[room] ?? "";
  },
  set(room: string, text: string): void {
    const { [room]: before, ...others } = read();
    if ((before ?? "") === text) return;
    ofThisTab.set(KEYS.drafts, JSON.stringify(text ? { ...others, [room]: text } : others));
  },
};
