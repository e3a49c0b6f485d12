import { describe, expect, it } from "vitest";
import type { User } from "./protocol";
import { RoomLog } from "./room-log";
import { buildRows, firstUnreadOffset } from "./rows";
import { ann, bo, message } from "./test-data";

const noon = new Date(2024, 5, 1, 12).getTime();
function items(...by: User[]) {
  const log = new RoomLog({ epoch: "e", offset: 0 });
  log.addHistory(by.map((user, i) => message(i + 1, { by: user, at: noon + i * 1000 })));
  return log.items;
}

describe("rows", () => {
  it("groups who writes on, and starts anew at another person", () => {
    const rows = buildRows(items(bo, bo, ann), [], ann);
    expect(rows).toMatchObject([{ kind: "day" }, { first: true, last: false }, { first: false, last: true }, { first: true, last: true, mine: true }]);
  });

  it("keeps the key of my message from sending to stored", () => {
    const pending = buildRows([], [{ room: "r", nonce: "n1", text: "x", at: noon, state: "sending" }], ann);
    expect(pending.at(-1)?.key).toBe(buildRows(items(ann), [], ann).at(-1)?.key);
  });

  it("puts the unread line before the oldest unread of others", () => {
    const all = items(bo, bo, ann, bo);
    expect(firstUnreadOffset(all, 2, ann.id)).toBe(2);
    expect(firstUnreadOffset(all, 0, ann.id)).toBeUndefined();
    expect(firstUnreadOffset(all, 9, ann.id)).toBeUndefined();
    expect(buildRows(all, [], ann, 2).map((row) => row.kind)).toEqual(["day", "message", "unread", "message", "message", "message"]);
  });
});
