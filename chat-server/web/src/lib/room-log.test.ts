import { describe, expect, it } from "vitest";
import { RoomLog } from "./room-log";
import { bo, event, message } from "./test-data";

const offsets = (log: RoomLog): number[] => log.items.map((item) => item.offset);

describe("merge by offset", () => {
  it("takes each offset once, in ascending order", () => {
    const log = new RoomLog({ epoch: "e", offset: 0 });
    expect([1, 2, 2, 3, 1].map((offset) => log.apply(event(offset)))).toEqual(["applied", "applied", "duplicate", "applied", "duplicate"]);
    expect(offsets(log)).toEqual([1, 2, 3]);
    expect(log.position).toEqual({ epoch: "e", offset: 3 });
  });

  it("moves the position by events that are not shown", () => {
    const log = new RoomLog({ epoch: "e", offset: 4 });
    log.apply({ event: "message:reacted", room: "r", epoch: "e", offset: 5, id: "x", at: 1 });
    log.apply({ event: "something:newer", room: "r", epoch: "e", offset: 6, id: "y", at: 1 });
    expect(log.position.offset).toBe(6);
    expect(log.items).toEqual([]);
  });

  it("keeps the position below a hole until it is filled", () => {
    const log = new RoomLog({ epoch: "e", offset: 1 });
    log.apply(event(2));
    log.apply(event(5));
    expect(log.position.offset).toBe(2);
    expect(log.missing).toEqual([{ from: 3, to: 4 }]);
    log.apply(event(4));
    expect(log.missing).toEqual([{ from: 3, to: 3 }]);
    log.apply(event(3));
    expect(log.position.offset).toBe(5);
    expect(offsets(log)).toEqual([2, 3, 4, 5]);
  });

  it("does not let history move the position, nor show a message twice", () => {
    const log = new RoomLog({ epoch: "e", offset: 10 });
    log.addHistory([message(8), message(10), message(11)], true);
    expect(log.position.offset).toBe(10);
    expect(log.apply(event(11))).toBe("applied");
    expect(offsets(log)).toEqual([8, 10, 11]);
    expect(log.complete).toBe(true);
  });

  it("opens a gap only beyond what it has", () => {
    const log = new RoomLog({ epoch: "e", offset: 10 });
    log.openGap(20);
    log.openGap(15);
    log.apply(event(21));
    expect(log.missing).toEqual([{ from: 11, to: 20 }]);
    log.closeGap(11, 14);
    log.closeGap(17, 17);
    expect(log.missing).toEqual([{ from: 15, to: 16 }, { from: 18, to: 20 }]);
    expect(log.position.offset).toBe(14);
  });
});

describe("epochs", () => {
  it("goes on into a new epoch that begins where it stands", () => {
    const log = new RoomLog({ epoch: "e", offset: 3 });
    expect(log.apply(event(4, { epoch: "f" }))).toBe("applied");
    expect(log.position).toEqual({ epoch: "f", offset: 4 });
  });

  it("asks to be read anew when the new epoch begins elsewhere", () => {
    const log = new RoomLog({ epoch: "e", offset: 3 });
    expect(log.apply(event(3, { epoch: "f" }))).toBe("reload");
    expect(log.apply(event(9, { epoch: "f" }))).toBe("reload");
  });

  it("ignores what still comes from an epoch it left", () => {
    const log = new RoomLog({ epoch: "e", offset: 3 });
    log.apply(event(4, { epoch: "f" }));
    expect(log.apply(event(5, { epoch: "e" }))).toBe("stale-epoch");
    expect(log.position).toEqual({ epoch: "f", offset: 4 });
  });
});

describe("what is shown", () => {
  it("amends an edited and a deleted message with new objects", () => {
    const log = new RoomLog({ epoch: "e", offset: 0 });
    log.apply(event(1));
    const before = log.items[0];
    log.apply({ event: "message:edited", room: "r", epoch: "e", offset: 2, id: "x", at: 99, target: "m1", text: "better" });
    expect(log.items[0]).toMatchObject({ message: { text: "better", editedAt: 99 } });
    expect(log.items[0]).not.toBe(before);
    log.apply({ event: "message:deleted", room: "r", epoch: "e", offset: 3, id: "y", at: 100, target: "m1" });
    expect(log.items[0]).toMatchObject({ message: { text: "", deleted: true } });
  });

  it("notes who came and went, but not in the lobby", () => {
    const log = new RoomLog({ epoch: "e", offset: 0 });
    log.apply({ event: "member:joined", room: "r", epoch: "e", offset: 1, id: "x", at: 1, user: bo, role: "member" });
    log.apply({ event: "member:left", room: "r", epoch: "e", offset: 2, id: "y", at: 2, user: bo, reason: "kicked" });
    log.apply({ event: "member:joined", room: "lobby", epoch: "e", offset: 3, id: "z", at: 3, user: bo, role: "member" });
    expect(log.items).toMatchObject([{ text: "Bo joined" }, { text: "Bo was removed" }]);
  });

  it("can let go of old lines, and says that there is more again", () => {
    const log = new RoomLog({ epoch: "e", offset: 0 });
    log.complete = true;
    for (let offset = 1; offset <= 5; offset++) log.apply(event(offset));
    expect(log.trim(2)).toBe(true);
    expect(offsets(log)).toEqual([4, 5]);
    expect(log.complete).toBe(false);
  });
});
