import { expect, it } from "vitest";
import { Unread } from "./unread";

it("counts on from the server's number, each offset once", () => {
  const unread = new Unread();
  unread.seed(3, 10);
  for (const offset of [9, 10, 11, 12, 12]) unread.heard(offset);
  expect(unread.count).toBe(5);
});

it("is empty after all is read, and counts what comes while the mark is under way", () => {
  const unread = new Unread();
  unread.seed(3, 10);
  unread.heard(11);
  unread.heard(12);
  // The mark was for 11; the server's answer already counts 12, which was heard here too.
  unread.marked(11, 1);
  expect(unread.count).toBe(1);
  unread.marked(12, 0);
  expect(unread.count).toBe(0);
});

it("follows another tab that has read only a part of what was there at the start", () => {
  const unread = new Unread();
  unread.seed(5, 10);
  unread.heard(11);
  unread.marked(8, 3);
  expect(unread.count).toBe(3);
});

it("never moves back", () => {
  const unread = new Unread();
  unread.marked(12, 0);
  unread.marked(4, 8);
  unread.heard(11);
  expect(unread.count).toBe(0);
});

it("counts what comes in place of entries that are gone, also where those were read", () => {
  const unread = new Unread();
  for (const offset of [1, 2, 3]) unread.heard(offset);
  unread.marked(2, 1);
  unread.cut(2);
  expect(unread.count).toBe(0);
  unread.heard(2);
  unread.heard(3);
  expect(unread.count).toBe(2);
});

it("does not count what was deleted", () => {
  const unread = new Unread();
  unread.heard(1);
  unread.heard(2);
  unread.forget(1);
  expect(unread.count).toBe(1);
});
