export type Part = { kind: "text"; text: string } | { kind: "link"; text: string; href: string };

const URL_START = /https?:\/\/[^\s<>"'`“”]+/gi;
const CLOSERS: Record<string, string> = { ")": "(", "]": "[", "}": "{" };

/**
 * Cut a text into plain parts and links, nothing lost: joined, the parts are the text again. Only http and https become
 * links, so a link can't run a script, and a full stop or bracket that ends a sentence stays outside.
 */
export function splitLinks(text: string): Part[] {
  const parts: Part[] = [];
  let end = 0;
  for (const match of text.matchAll(URL_START)) {
    const url = trimEnd(match[0]);
    if (!isWebAddress(url)) continue;
    if (match.index > end) parts.push({ kind: "text", text: text.slice(end, match.index) });
    parts.push({ kind: "link", text: url, href: url });
    end = match.index + url.length;
  }
  if (end < text.length) parts.push({ kind: "text", text: text.slice(end) });
  return parts;
}

function trimEnd(url: string): string {
  for (;;) {
    const last = url.at(-1) ?? "";
    const opener = CLOSERS[last];
    const unbalanced = opener !== undefined && count(url, last) > count(url, opener);
    if (!unbalanced && !/[.,;:!?*_~…]/.test(last)) return url;
    url = url.slice(0, -1);
  }
}

function count(text: string, char: string): number {
  return text.split(char).length - 1;
}

function isWebAddress(url: string): boolean {
  try {
    const { protocol, hostname } = new URL(url);
    return (protocol === "http:" || protocol === "https:") && hostname !== "";
  } catch {
    return false;
  }
}
