import { describe, expect, it } from "vitest";
import { splitLinks } from "./links";

const links = (text: string): string[] => splitLinks(text).flatMap((part) => (part.kind === "link" ? [part.href] : []));

describe("links in a text", () => {
  it.each([
    ["no link, only text", []],
    ["see https://example.org.", ["https://example.org"]],
    ["(http://example.org/a_(b)) and", ["http://example.org/a_(b)"]],
    ["https://example.org/?q=1&r=2#top, https://b.example/!", ["https://example.org/?q=1&r=2#top", "https://b.example/"]],
    ["javascript:alert(1) data:text/html,x ftp://a.example", []],
    ["https://", []],
    ['<a href="https://example.org">x</a>', ["https://example.org"]],
  ])("%s", (text, expected) => expect(links(text)).toEqual(expected));

  it("loses nothing of the text, line breaks and spaces included", () => {
    for (const text of ["", "  a\n\n https://example.org/x), b  \n", "https://a.example\nhttps://b.example", "http://\u0000"]) {
      expect(splitLinks(text).map((part) => part.text).join("")).toBe(text);
    }
  });
});
