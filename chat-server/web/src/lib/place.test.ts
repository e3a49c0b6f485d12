import { expect, test } from "vitest";
import { folder } from "./place";

test("the folder of the page ends with a slash", () => {
  for (const [path, expected] of [["/", "/"], ["/chat/", "/chat/"], ["/index.html", "/"], ["/a/b/index.html", "/a/b/"]] as const) {
    expect(folder(path)).toBe(expected);
  }
});
