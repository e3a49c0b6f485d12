import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Request } from "../protocol";
import { RequestError } from "../protocol";
import { Reading } from "./reading";
import type { Room } from "./room.svelte";

/** As much of a room as is looked at. */
function roomAt(id: string, offset: number): Room {
  const room = { id, unread: 1, log: { position: { epoch: "e", offset } }, marked: () => (room.unread = 0) };
  return room as unknown as Room;
}

describe("Reading", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  function setUp(): { reading: Reading; sent: object[]; state: { online: boolean; failing: boolean } } {
    const sent: object[] = [];
    const state = { online: true, failing: false };
    const request = (async (_event: string, payload: object) => {
      if (state.failing) throw new RequestError("disconnected", "", true);
      sent.push(payload);
      return { unread: 0 };
    }) as Request;
    return { reading: new Reading(request, () => state.online), sent, state };
  }

  it("marks what was seen, not what came later", async () => {
    const { reading, sent } = setUp();
    const room = roomAt("a", 7);
    reading.seen(room);
    room.log.position.offset = 8;
    await vi.advanceTimersByTimeAsync(300);
    expect(sent).toEqual([{ room: "a", offset: 7 }]);
  });

  it("does not forget one room over the next", async () => {
    const { reading, sent } = setUp();
    reading.seen(roomAt("a", 7));
    reading.seen(roomAt("b", 3));
    await vi.advanceTimersByTimeAsync(300);
    expect(sent).toEqual([{ room: "a", offset: 7 }, { room: "b", offset: 3 }]);
  });

  it("tells after a reconnect what could not be told before, once", async () => {
    const { reading, sent, state } = setUp();
    state.failing = true;
    reading.seen(roomAt("a", 7));
    await vi.advanceTimersByTimeAsync(300);
    state.failing = false;
    reading.tell();
    await vi.advanceTimersByTimeAsync(300);
    reading.tell();
    await vi.advanceTimersByTimeAsync(300);
    expect(sent).toEqual([{ room: "a", offset: 7 }]);
  });
});
