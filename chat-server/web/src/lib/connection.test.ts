import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Connection } from "./connection";
import { fakeSockets, type FakeSocket } from "./fake-sockets";
import { Outbox } from "./outbox";
import { Sender } from "./sender";
import { event } from "./test-data";

const nowhere = { get: () => undefined, set: () => {}, remove: () => {} };

/** A page that holds one room, as far as a connection sees it. */
function page() {
  const { sockets, open } = fakeSockets();
  const told: string[] = [];
  let offset = 0;
  const connection: Connection = new Connection(
    {
      credentials: () => ({ resume: "token", positions: { r: { epoch: "e", offset } } }),
      positions: () => ({ r: { epoch: "e", offset } }),
      session: ({ node }) => void told.push(`session ${node}`),
      log: (entry) => {
        told.push(`${entry.offset}`);
        offset = Math.max(offset, entry.offset);
      },
      gap: ({ from, to }) => void told.push(`gap ${from}-${to}`),
      roomAdded: () => {},
      invited: () => {},
      settings: () => {},
      blocked: () => {},
      typing: () => void told.push("typing"),
      presence: () => {},
      readMarked: () => {},
      lost: ({ handover }) => void told.push(handover ? "lost in a handover" : "lost"),
      failed: (why, cause) => void told.push(cause ? `${why} ${cause}` : why),
      refused: (code, message) => void told.push(`refused ${code}${message && ` ${message}`}`),
    },
    open,
  );
  connection.open();
  sockets[0]!.begins({ r: 0 }, { node: "old" });
  const socket = (n: number): FakeSocket => {
    expect(sockets.length).toBeGreaterThan(n);
    return sockets[n]!;
  };
  const hear = (from: FakeSocket, ...offsets: number[]): void => offsets.forEach((offset) => from.says("message:new", event(offset)));
  /** What was told since the last time. */
  const news = (): string[] => told.splice(0);
  expect(news()).toEqual(["session old"]);
  return { connection, sockets, socket, hear, news };
}

/** The node of the first socket stops, and the second socket is opened. */
async function drained() {
  const all = page();
  all.hear(all.socket(0), 1, 2);
  all.socket(0).says("server:draining", { reconnectAfterMs: 800 });
  await vi.advanceTimersByTimeAsync(800);
  all.news();
  return { ...all, old: all.socket(0), next: all.socket(1) };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("a node that stops", () => {
  it("is left after the time it says, for a second connection that goes on from what was heard", async () => {
    const { sockets, socket, hear, news } = page();
    hear(socket(0), 1, 2);
    socket(0).says("server:draining", { reconnectAfterMs: 800 });
    await vi.advanceTimersByTimeAsync(790);
    expect(sockets).toHaveLength(1);
    hear(socket(0), 3);
    await vi.advanceTimersByTimeAsync(10);
    expect(socket(1).auth()).toEqual({ resume: "token", positions: { r: { epoch: "e", offset: 3 } }, client: "web", rotate: true });
    expect(socket(0).connected).toBe(true);
    expect(news()).toEqual(["1", "2", "3"]);
  });

  it("is heard until the second connection has caught up, and then only that one", async () => {
    const { old, next, hear, news } = await drained();
    hear(old, 3, 4);
    next.begins({ r: 2 }, { node: "new" });
    hear(next, 3);
    hear(old, 5);
    expect(news()).toEqual(["3", "4", "5"]);
    expect(old.connected).toBe(true);
    // What the first had brought when the session began, the second has brought as well.
    hear(next, 4);
    expect(news()).toEqual(["session new", "3", "4"]);
    expect(old.connected).toBe(false);
    hear(old, 6);
    hear(next, 5, 6);
    expect(news()).toEqual(["5", "6"]);
  });

  it("is left at once where nothing was said meanwhile", async () => {
    const { old, next, news } = await drained();
    next.begins({ r: 2 }, { node: "new" });
    expect(news()).toEqual(["session new"]);
    expect(old.connected).toBe(false);
    expect(old.reconnects).toBe(false);
  });

  it("is not waited for by rooms that are read anew, nor behind a gap", async () => {
    const first = await drained();
    first.hear(first.old, 3);
    first.next.begins({ r: 90 }, { node: "new", unrecovered: ["r"] });
    expect(first.news()).toEqual(["3", "session new"]);

    const second = await drained();
    second.hear(second.old, 3);
    second.next.begins({ r: 2 }, { node: "new" });
    second.next.says("gap", { room: "r", epoch: "e", from: 3, to: 900 });
    expect(second.news()).toEqual(["3", "session new", "gap 3-900"]);
  });

  it("is left after a while also where the second connection does not come to what the first had", async () => {
    const { old, next, hear, news } = await drained();
    hear(old, 3);
    next.begins({ r: 2 }, { node: "new" });
    news();
    await vi.advanceTimersByTimeAsync(5000);
    expect(news()).toEqual(["session new"]);
  });

  it("keeps everything in order that the second connection heard, of rooms and of others", async () => {
    const { old, next, hear, news } = await drained();
    hear(old, 3);
    next.begins({ r: 2 }, { node: "new" });
    next.says("typing", { room: "r", user: "u2", on: true });
    news();
    hear(next, 3);
    expect(news()).toEqual(["session new", "typing", "3"]);
  });

  it("may be followed by another one that stops", async () => {
    const { sockets, old, next, hear, news } = await drained();
    hear(old, 3);
    next.begins({ r: 2 }, { node: "new" });
    next.says("server:draining", { reconnectAfterMs: 100 });
    hear(next, 3);
    await vi.advanceTimersByTimeAsync(100);
    expect(sockets).toHaveLength(3);
    news();
    sockets[2]!.begins({ r: 3 }, { node: "newest" });
    expect(news()).toEqual(["session newest"]);
    expect(next.connected).toBe(false);
  });

  it("is kept to its end while no second connection is to be had, and then it is as after any loss", async () => {
    const { connection, sockets, old, next, hear, news } = await drained();
    next.fails();
    next.fails(503);
    hear(old, 3);
    const asked = connection.request("room:list", {});
    old.requests[0]!.answer({ ok: true, rooms: [] });
    expect(await asked).toMatchObject({ rooms: [] });
    expect(news()).toEqual(["3"]);
    old.lose();
    expect(news()).toEqual(["lost in a handover"]);
    expect(next.active).toBe(false);
    expect(old.reconnects).toBe(true);
    old.fails();
    expect(news()).toEqual(["unreachable"]);
    old.fails(503, "unavailable: try again\n");
    old.fails(503, "unavailable (out_of_memory): try again\n");
    expect(news()).toEqual(["unavailable", "unavailable out_of_memory"]);
    old.begins({ r: 3 }, { node: "back" });
    expect(news()).toEqual(["session back"]);
    expect(sockets).toHaveLength(2);
  });

  it("is kept also where the second connection is refused for good", async () => {
    const { old, next, hear, news } = await drained();
    next.refused("unauthenticated");
    hear(old, 3);
    expect(news()).toEqual(["3"]);
    expect(old.connected).toBe(true);
  });

  it("may be gone before its time: then the first connection comes back by itself", async () => {
    const { sockets, socket, news } = page();
    socket(0).says("server:draining", { reconnectAfterMs: 800 });
    socket(0).lose();
    expect(news()).toEqual(["lost in a handover"]);
    await vi.advanceTimersByTimeAsync(2000);
    expect(sockets).toHaveLength(1);
    socket(0).begins({ r: 0 }, { node: "new" });
    expect(news()).toEqual(["session new"]);
  });

  it("may be gone while the second connection is being made, which then is the one", async () => {
    const { old, next, hear, news } = await drained();
    old.lose();
    expect(news()).toEqual(["lost in a handover"]);
    expect(old.reconnects).toBe(false);
    next.begins({ r: 2 }, { node: "new" });
    hear(next, 3);
    expect(news()).toEqual(["session new", "3"]);
  });

  it("may be gone while the second connection catches up, and nothing counts as lost", async () => {
    const { old, next, hear, news } = await drained();
    hear(old, 3, 4);
    next.begins({ r: 2 }, { node: "new" });
    hear(next, 3);
    news();
    old.lose();
    expect(news()).toEqual(["session new", "3"]);
    hear(next, 4);
    expect(news()).toEqual(["4"]);
  });

  it("is kept when the node of the second connection dies before that took over", async () => {
    const { old, next, hear, news } = await drained();
    hear(old, 3);
    next.begins({ r: 2 }, { node: "new" });
    next.lose();
    hear(old, 4);
    expect(news()).toEqual(["3", "4"]);
    next.begins({ r: 4 }, { node: "newer" });
    expect(news()).toEqual(["session newer"]);
  });

  it("answers what was asked before, and only then is closed", async () => {
    const { connection, old, next, news } = await drained();
    const asked = connection.request("message:send", { room: "r", nonce: "a", text: "a" });
    next.begins({ r: 2 }, { node: "new" });
    expect(news()).toEqual(["session new"]);
    expect(old.connected).toBe(true);
    const later = connection.request("message:send", { room: "r", nonce: "b", text: "b" });
    expect(next.requests).toMatchObject([{ payload: { nonce: "b" } }]);
    old.requests[0]!.answer({ ok: true, id: "a" });
    expect(await asked).toMatchObject({ id: "a" });
    expect(old.connected).toBe(false);
    next.requests[0]!.answer({ ok: true, id: "b" });
    expect(await later).toMatchObject({ id: "b" });
  });

  it("is not waited for without end by what it does not answer", async () => {
    const { connection, old, next } = await drained();
    const asked = connection.request("message:send", { room: "r", nonce: "a", text: "a" });
    const failed = expect(asked).rejects.toMatchObject({ code: "disconnected", temporary: true });
    next.begins({ r: 2 }, { node: "new" });
    await vi.advanceTimersByTimeAsync(5000);
    expect(old.connected).toBe(false);
    await failed;
  });
});

describe("a connection that passes nothing", () => {
  it("is made anew once a request was not answered in time", async () => {
    const { connection, socket } = page();
    const asked = connection.request("room:list", {});
    socket(0).answersNothing();
    await expect(asked).rejects.toMatchObject({ code: "timeout", temporary: true });
    expect(socket(0).silences).toEqual([10_000]);
  });

  it("is left be where its end was told", async () => {
    const { connection, socket } = page();
    const asked = connection.request("room:list", {});
    socket(0).lose();
    await expect(asked).rejects.toMatchObject({ code: "disconnected" });
    expect(socket(0).silences).toEqual([]);
  });
});

describe("a session that ends", () => {
  it("is told as revoked, with the reason, and not begun again", async () => {
    const { sockets, socket, news } = page();
    socket(0).says("session:revoked", { session: "s", reason: "token_reused" });
    expect(news()).toEqual(["refused revoked token_reused"]);
    expect(socket(0).connected).toBe(false);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(sockets).toHaveLength(1);
    expect(news()).toEqual([]);
  });

  it("is left once what was asked is answered, and nothing of it is heard meanwhile", async () => {
    const { connection, socket, hear, news } = page();
    const asked = connection.request("session:revoke", { session: "s" });
    connection.leave();
    hear(socket(0), 1);
    socket(0).says("session:revoked", { session: "s", reason: "requested" });
    expect(socket(0).connected).toBe(true);
    expect(socket(0).reconnects).toBe(false);
    socket(0).requests[0]!.answer({ ok: true });
    await asked;
    expect(socket(0).connected).toBe(false);
    expect(news()).toEqual([]);
  });

  it("is left at once where nothing was asked, and another may begin meanwhile", () => {
    const { connection, sockets, socket, news } = page();
    connection.leave();
    expect(socket(0).connected).toBe(false);
    connection.open();
    expect(sockets).toHaveLength(2);
    socket(1).begins({ r: 0 }, { node: "new" });
    expect(news()).toEqual(["session new"]);
  });
});

describe("a message that is on its way while the node stops", () => {
  async function sending() {
    const all = await drained();
    const outbox = new Outbox(nowhere);
    outbox.restore("u1");
    const sender = new Sender(outbox, all.connection.request, { stored: () => {}, refused: () => {}, storing: () => {} });
    sender.start();
    for (const nonce of ["a", "b"]) {
      outbox.add({ room: "r", nonce, text: nonce, at: 1 });
      void sender.pump("r");
    }
    const ack = { ok: true, id: "a", position: { epoch: "e", offset: 3 }, at: 1 };
    return { ...all, outbox, sender, ack };
  }

  it("is answered by the old node, and the next one goes to the new", async () => {
    const { old, next, sender, outbox, ack } = await sending();
    next.begins({ r: 2 });
    sender.start();
    old.requests[0]!.answer(ack);
    await vi.advanceTimersByTimeAsync(0);
    expect(old.requests).toMatchObject([{ payload: { nonce: "a" } }]);
    expect(next.requests).toMatchObject([{ payload: { nonce: "b" } }]);
    next.requests[0]!.answer(ack);
    await vi.advanceTimersByTimeAsync(0);
    expect(outbox.entries).toEqual([]);
  });

  it("is sent again under the same nonce, before those behind it, where the old node does not answer", async () => {
    const { old, next, sender, outbox, ack } = await sending();
    next.begins({ r: 2 });
    sender.start();
    old.lose();
    await vi.advanceTimersByTimeAsync(200);
    expect(next.requests).toMatchObject([{ payload: { nonce: "a" } }]);
    next.requests[0]!.answer(ack);
    await vi.advanceTimersByTimeAsync(0);
    expect(next.requests.map(({ payload }) => payload)).toMatchObject([{ nonce: "a" }, { nonce: "b" }]);
    next.requests[1]!.answer(ack);
    await vi.advanceTimersByTimeAsync(0);
    expect(outbox.entries).toEqual([]);
  });
});
