import { describe, expect, it } from "vitest";
import { RoomLog } from "./room-log";
import { bo, event, message, update } from "./test-data";

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
    log.apply({ event: "message:reacted", room: "r", epoch: "e", offset: 5, id: "x", at: 1, by: bo });
    log.apply({ event: "something:newer", room: "r", epoch: "e", offset: 6, id: "y", at: 1, by: bo });
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
    log.openGap({ epoch: "e", from: 11, to: 20 });
    log.openGap({ epoch: "e", from: 11, to: 15 });
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

  it("takes what a session of a later epoch replays, which keeps the epochs in which it was written", () => {
    const log = new RoomLog({ epoch: "e", offset: 3 });
    expect(log.resume({ epoch: "g", offset: 3 })).toBe(false);
    expect(["e", "f", "g"].map((epoch, n) => log.apply(event(4 + n, { epoch })))).toEqual(["applied", "applied", "applied"]);
    expect(offsets(log)).toEqual([4, 5, 6]);
    expect(log.position).toEqual({ epoch: "g", offset: 6 });
  });

  it("drops what a gap of a new epoch takes back, and expects the rest", () => {
    const log = new RoomLog({ epoch: "e", offset: 0 });
    for (let offset = 1; offset <= 6; offset++) log.apply(event(offset));
    expect(log.openGap({ epoch: "f", from: 5, to: 8 })).toBe(true);
    expect(offsets(log)).toEqual([1, 2, 3, 4]);
    expect(log.position).toEqual({ epoch: "f", offset: 4 });
    expect(log.missing).toEqual([{ from: 5, to: 8 }]);
    expect(log.apply(event(9, { epoch: "f" }))).toBe("applied");
    for (const offset of [5, 6, 7, 8]) log.apply(event(offset, { epoch: "f", id: `new${offset}` }));
    expect(log.items.map((item) => item.kind === "message" && item.message.id)).toEqual(["m1", "m2", "m3", "m4", "new5", "new6", "new7", "new8", "m9"]);
    expect(log.position).toEqual({ epoch: "f", offset: 9 });
  });

  it("drops what a gap takes back also when nothing has come in its place", () => {
    const log = new RoomLog({ epoch: "e", offset: 4 });
    log.apply(event(5));
    expect(log.openGap({ epoch: "f", from: 5, to: 4 })).toBe(true);
    expect(log.position).toEqual({ epoch: "f", offset: 4 });
    expect(log.items).toEqual([]);
    expect(log.missing).toEqual([]);
  });

  it("drops nothing for a gap of the epoch it is in, nor for one beyond what it has", () => {
    const log = new RoomLog({ epoch: "e", offset: 3 });
    log.apply(event(4));
    expect(log.openGap({ epoch: "e", from: 4, to: 6 })).toBe(false);
    expect(log.openGap({ epoch: "f", from: 7, to: 9 })).toBe(false);
    expect(offsets(log)).toEqual([4]);
    expect(log.missing).toEqual([{ from: 5, to: 9 }]);
  });

  it("takes again what a session of a new epoch goes on before", () => {
    const log = new RoomLog({ epoch: "e", offset: 3 });
    for (const offset of [4, 5, 6]) log.apply(event(offset));
    expect(log.resume({ epoch: "f", offset: 4 })).toBe(true);
    expect(offsets(log)).toEqual([4]);
    expect(log.apply(event(5))).toBe("applied");
    expect(log.apply(event(6, { epoch: "f", id: "other" }))).toBe("applied");
    expect(log.items.at(-1)).toMatchObject({ message: { id: "other" } });
  });

  it("keeps what it has when a session of its epoch goes on before it", () => {
    const log = new RoomLog({ epoch: "e", offset: 3 });
    for (const offset of [4, 5]) log.apply(event(offset));
    expect(log.resume({ epoch: "e", offset: 3 })).toBe(false);
    expect([4, 5, 6].map((offset) => log.apply(event(offset)))).toEqual(["duplicate", "duplicate", "applied"]);
  });

  it("shows what the log holds in place of a message that was acked and then lost", () => {
    const log = new RoomLog({ epoch: "e", offset: 3 });
    log.addMessage(message(4, { id: "acked" }));
    expect(log.resume({ epoch: "f", offset: 3 })).toBe(true);
    log.addMessage(message(4, { id: "acked late" }));
    log.apply(event(4, { epoch: "f", id: "stored" }));
    expect(log.items).toMatchObject([{ message: { id: "stored" } }]);
  });
});

describe("what is lost", () => {
  const upTo = (head: number): RoomLog => {
    const log = new RoomLog({ epoch: "e", offset: 0 });
    for (let offset = 1; offset <= head; offset++) log.apply(event(offset));
    return log;
  };
  const lost = (log: RoomLog): string[] => log.takeLost().map((message) => message.id);

  it("is told by a gap of a new epoch, once", () => {
    const log = upTo(6);
    log.openGap({ epoch: "f", from: 5, to: 4 });
    expect(lost(log)).toEqual(["m5", "m6"]);
    expect(lost(log)).toEqual([]);
    log.openGap({ epoch: "f", from: 5, to: 9 });
    expect(lost(log)).toEqual([]);
  });

  it("is what a session says to be above a fork, and nothing where the range has only gone", () => {
    const log = upTo(6);
    log.reset({ epoch: "f", offset: 9 }, { lostFrom: 5 });
    expect(lost(log)).toEqual(["m5", "m6"]);
    const aged = upTo(6);
    aged.reset({ epoch: "e", offset: 900 });
    expect(lost(aged)).toEqual([]);
  });

  it("is what was acked where the first entry of a new epoch stands, or after it", () => {
    const log = upTo(3);
    for (const offset of [4, 5]) log.addMessage(message(offset));
    log.apply(event(4, { epoch: "f", id: "new4", nonce: "other" }));
    expect(lost(log)).toEqual(["m4", "m5"]);
    expect(offsets(log)).toEqual([1, 2, 3, 4]);
  });

  it("is not what was stored once more", () => {
    const log = upTo(3);
    log.apply(event(4, { epoch: "f" }));
    log.addMessage(message(5, { epoch: "f" }));
    log.apply(event(5, { epoch: "f", id: "again" }));
    expect(lost(log)).toEqual([]);
    expect(log.items.at(-1)).toMatchObject({ message: { id: "again" } });
  });

  it("is nothing where a log goes on in a new epoch, or other entries of it come", () => {
    const log = upTo(3);
    log.apply(event(4, { epoch: "f" }));
    log.openGap({ epoch: "f", from: 5, to: 7 });
    for (const offset of [5, 6, 7]) log.apply(event(offset, { epoch: "f" }));
    expect(lost(log)).toEqual([]);
  });
});

describe("what is shown", () => {
  it("amends an edited and a deleted message with new objects", () => {
    const log = new RoomLog({ epoch: "e", offset: 0 });
    log.apply(event(1));
    const before = log.items[0];
    log.apply({ event: "message:edited", room: "r", epoch: "e", offset: 2, id: "x", at: 99, by: bo, target: "m1", text: "better" });
    expect(log.items[0]).toMatchObject({ message: { text: "better", editedAt: 99 } });
    expect(log.items[0]).not.toBe(before);
    log.apply({ event: "message:deleted", room: "r", epoch: "e", offset: 3, id: "y", at: 100, by: bo, target: "m1" });
    expect(log.items[0]).toMatchObject({ message: { text: "", deleted: true } });
  });

  it("notes who came and went, but not in the lobby", () => {
    const log = new RoomLog({ epoch: "e", offset: 0 });
    log.apply({ event: "member:joined", room: "r", epoch: "e", offset: 1, id: "x", at: 1, by: bo, user: bo, role: "member" });
    log.apply({ event: "member:left", room: "r", epoch: "e", offset: 2, id: "y", at: 2, by: bo, user: bo, reason: "kicked" });
    log.apply({ event: "member:joined", room: "lobby", epoch: "e", offset: 3, id: "z", at: 3, by: bo, user: bo, role: "member" });
    expect(log.items).toMatchObject([{ text: "Bo joined" }, { text: "Bo was removed" }]);
  });

  it("notes what was changed of the room, also where the entries come out of order", () => {
    const log = new RoomLog({ epoch: "e", offset: 0 }, { name: "Plans", topic: "", archived: false });
    log.apply(update(1, { topic: "May" }));
    log.apply(update(3, { name: "Trip", topic: "May", archived: true }));
    expect(log.items).toMatchObject([{ text: "Bo changed the topic to “May”" }, { text: "Bo renamed the room to “Trip” and archived the room" }]);
    log.apply(update(2, { name: "Trip", topic: "May" }));
    expect(log.items).toMatchObject([{ offset: 1 }, { text: "Bo renamed the room to “Trip”" }, { offset: 3, text: "Bo archived the room" }]);
    expect(log.state).toEqual({ name: "Trip", topic: "May", archived: true });
  });

  it("takes back what was changed of the room and then lost", () => {
    const log = new RoomLog({ epoch: "e", offset: 0 }, { name: "Plans", topic: "", archived: false });
    log.apply(event(1));
    log.apply(update(2, { archived: true }));
    log.openGap({ epoch: "f", from: 2, to: 1 });
    expect(offsets(log)).toEqual([1]);
    expect(log.state.archived).toBe(false);
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
