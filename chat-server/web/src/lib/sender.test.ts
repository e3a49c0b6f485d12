import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Outbox } from "./outbox";
import { RequestError, type Answer, type Request } from "./protocol";
import { Sender } from "./sender";

const nowhere = { get: () => undefined, set: () => {}, remove: () => {} };
let outbox: Outbox;
let sent: string[];
let answer: (nonce: string) => Promise<Answer<"message:send">>;
let sender: Sender;
let storing: (boolean | string)[];

const stored = async (nonce: string): Promise<Answer<"message:send">> => ({ id: nonce, position: { epoch: "e", offset: 1 }, at: 1 });
const refuse = (code: RequestError["code"], temporary: boolean, after?: number) => Promise.reject(new RequestError(code, code, temporary, after));
const add = (nonce: string, room = "r"): void => {
  outbox.add({ room, nonce, text: nonce, at: 1 });
  void sender.pump(room);
};
const settle = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0);

beforeEach(() => {
  vi.useFakeTimers();
  outbox = new Outbox(nowhere);
  outbox.restore("u1");
  sent = [];
  storing = [];
  answer = stored;
  const request = (async (_: string, payload: object) => {
    const { nonce } = payload as { nonce: string };
    sent.push(nonce);
    return answer(nonce);
  }) as Request;
  sender = new Sender(outbox, request, {
    stored: () => {},
    refused: (entry, error) => outbox.fail(entry.room, entry.nonce, error.code),
    storing: (able, why) => storing.push(why ?? able),
  });
});
afterEach(() => vi.useRealTimers());

describe("sending", () => {
  it("keeps what is written while offline, and sends it in order", async () => {
    add("a");
    add("b");
    await settle();
    expect(sent).toEqual([]);
    sender.start();
    await settle();
    expect(sent).toEqual(["a", "b"]);
    expect(outbox.entries).toEqual([]);
  });

  it("sends the same nonce again after a reconnect", async () => {
    answer = () => refuse("disconnected", true);
    sender.start();
    add("a");
    sender.stop();
    await settle();
    answer = stored;
    sender.start();
    await settle();
    expect(sent).toEqual(["a", "a"]);
  });

  it("waits as long as it is told, and nothing overtakes in between", async () => {
    sender.start();
    answer = () => refuse("rate_limited", true, 700);
    add("a");
    add("b");
    await settle();
    answer = stored;
    add("c");
    await vi.advanceTimersByTimeAsync(690);
    expect(sent).toEqual(["a"]);
    await vi.advanceTimersByTimeAsync(20);
    expect(sent).toEqual(["a", "a", "b", "c"]);
  });

  it("does not hold up other rooms", async () => {
    sender.start();
    answer = (nonce) => (nonce === "a" ? refuse("rate_limited", true, 5000) : stored(nonce));
    add("a");
    add("x", "other");
    await settle();
    expect(sent).toEqual(["a", "x"]);
  });

  it("goes on behind one that is refused for good", async () => {
    sender.start();
    answer = (nonce) => (nonce === "a" ? refuse("forbidden", false) : stored(nonce));
    add("a");
    add("b");
    await settle();
    expect(outbox.entries).toMatchObject([{ nonce: "a", state: "failed", problem: "forbidden" }]);
    expect(sent).toEqual(["a", "b"]);
  });

  it("says when the store is away, and when it is back", async () => {
    sender.start();
    answer = () => refuse("unavailable", true);
    add("a");
    await settle();
    answer = stored;
    await vi.advanceTimersByTimeAsync(1000);
    expect(storing).toEqual([false, true]);
  });

  it("says why the store refuses, where the server tells", async () => {
    sender.start();
    answer = () => Promise.reject(RequestError.from({ code: "unavailable", temporary: true, store: "read_only" }));
    add("a");
    await settle();
    expect(storing).toEqual(["read_only"]);
  });

  it("can store again once what could not be stored is discarded or heard of", async () => {
    sender.start();
    answer = () => refuse("unavailable", true, 500);
    add("a");
    add("b", "other");
    await settle();
    expect(storing).toEqual([false]);
    outbox.discard("r", "a");
    await vi.advanceTimersByTimeAsync(600);
    expect(storing, "the other room's message waits still").toEqual([false]);
    outbox.settle("other", "b");
    await vi.advanceTimersByTimeAsync(600);
    expect(storing).toEqual([false, true]);
  });

  it("is done with a message that the bus brought while its ack got lost", async () => {
    sender.start();
    answer = async () => {
      outbox.settle("r", "a");
      return refuse("timeout", true);
    };
    add("a");
    await vi.advanceTimersByTimeAsync(20_000);
    expect(sent).toEqual(["a"]);
  });
});
