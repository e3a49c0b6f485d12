import { describe, expect, it, vi } from "vitest";
import type { LogEvent, Request } from "../protocol";
import { ann, event } from "../test-data";
import { LogSync } from "./log-sync";
import { Room } from "./room.svelte";

/** A room with six messages, of which the page has heard all, and a store that was restarted since. */
function restarted(log: readonly LogEvent[], history: readonly LogEvent[] = log) {
  const asked: [string, object][] = [];
  const lost: string[] = [];
  const request = (async (name: string, payload: { after?: number }) => {
    asked.push([name, payload]);
    if (name === "history:get") return { epoch: "f", messages: [...history], complete: true };
    const events = log.filter((entry) => entry.offset > payload.after!);
    return { events, position: { epoch: "f", offset: log.at(-1)!.offset }, complete: true };
  }) as Request;
  const room = new Room({ room: "r", name: "R", kind: "public", topic: "", archived: false, position: { epoch: "e", offset: 0 }, unread: 0 });
  const logSync = new LogSync(request, {
    online: () => true,
    took: (room, entry) => room.took(entry, ann.id),
    dropped: (room, from) => {
      room.cut(from);
      if (room.log.items.length === 0) logSync.reread(room);
    },
    lost: (_, messages) => lost.push(...messages.map((message) => message.id)),
    met: () => {},
    loaded: () => {},
  });
  for (let offset = 1; offset <= 6; offset++) logSync.take(room, event(offset));
  const ids = (): string[] => room.items.map((item) => (item.kind === "message" ? item.message.id : ""));
  return { logSync, room, asked, ids, lost };
}

const inNewLife = (offset: number): LogEvent => event(offset, { epoch: "f", id: `new${offset}` });

describe("a store that was restarted", () => {
  it("is followed without a word where it lost nothing", async () => {
    const { logSync, room, asked, ids, lost } = restarted([]);
    logSync.take(room, inNewLife(7));
    logSync.take(room, inNewLife(8));
    expect(lost).toEqual([]);
    await vi.waitFor(() => expect(ids()).toEqual(["m1", "m2", "m3", "m4", "m5", "m6", "new7", "new8"]));
    expect(asked).toEqual([]);
    expect(room.unread).toBe(8);
  });

  it("takes back what it lost, from the view and from the count, and gives what stands there now", async () => {
    const { logSync, room, asked, ids, lost } = restarted([5, 6, 7].map(inNewLife));
    logSync.gap(room, { room: "r", epoch: "f", from: 5, to: 7 });
    expect(lost).toEqual(["m5", "m6"]);
    expect(ids()).toEqual(["m1", "m2", "m3", "m4"]);
    expect(room.unread).toBe(4);
    await vi.waitFor(() => expect(ids()).toEqual(["m1", "m2", "m3", "m4", "new5", "new6", "new7"]));
    expect(asked).toEqual([["log:get", { room: "r", epoch: "f", after: 4, limit: 100 }]]);
    expect(room.unread).toBe(7);
    expect(room.log.position).toEqual({ epoch: "f", offset: 7 });
  });

  it("is read anew where nothing of what is shown is left", async () => {
    const { logSync, room, asked, ids } = restarted([1, 2].map(inNewLife));
    room.open = true;
    logSync.gap(room, { room: "r", epoch: "f", from: 1, to: 2 });
    expect(room.history).toBe("loading");
    await vi.waitFor(() => expect(room.history).toBe("loaded"));
    expect(ids()).toEqual(["new1", "new2"]);
    expect(asked.map(([name]) => name).sort()).toEqual(["history:get", "log:get"]);
  });

  it("tells what it lost where an entry of the new life comes unawares", () => {
    const { logSync, room, lost } = restarted([5].map(inNewLife));
    logSync.take(room, inNewLife(5));
    expect(lost).toEqual(["m5", "m6"]);
  });

  it("does not bring back by a page of history what it has lost", async () => {
    const before = [1, 2, 3, 4, 5, 6].map((offset) => event(offset));
    const { logSync, room, ids } = restarted([inNewLife(5)], before);
    const loading = logSync.loadHistory(room);
    logSync.gap(room, { room: "r", epoch: "f", from: 5, to: 5 });
    before.splice(4, 2, inNewLife(5));
    await loading;
    await vi.waitFor(() => expect(ids()).toEqual(["m1", "m2", "m3", "m4", "new5"]));
  });

  it("is asked for older messages though no event has told of its new life", async () => {
    const { logSync, room, ids } = restarted([], [event(-1), event(0)]);
    room.history = "loaded";
    room.publishNow();
    await logSync.loadOlder(room);
    expect(ids().slice(0, 3)).toEqual(["m-1", "m0", "m1"]);
  });
});
