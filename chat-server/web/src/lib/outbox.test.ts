import { describe, expect, it } from "vitest";
import { Outbox } from "./outbox";
import type { Store } from "./storage";
import { ann, message } from "./test-data";

function memory(): Store {
  const kept = new Map<string, string>();
  return { get: (key) => kept.get(key), set: (key, value) => void kept.set(key, value), remove: (key) => void kept.delete(key) };
}

function filled(store = memory()): Outbox {
  const outbox = new Outbox(store);
  outbox.restore("u1");
  for (const nonce of ["a", "b", "c"]) outbox.add({ room: "r", nonce, text: nonce, at: 1 });
  return outbox;
}

describe("the outbox", () => {
  it("gives up an entry by its nonce, in its own room only", () => {
    const outbox = filled();
    expect(outbox.settle("other", "a")).toBeUndefined();
    expect(outbox.settle("r", undefined)).toBeUndefined();
    expect(outbox.settle("r", "a")?.text).toBe("a");
    expect(outbox.settle("r", "a")).toBeUndefined();
    expect(outbox.entries.map((entry) => entry.nonce)).toEqual(["b", "c"]);
  });

  it("survives a reload with the same nonces in the same order", () => {
    const store = memory();
    filled(store).settle("r", "b");
    const after = new Outbox(store);
    after.restore("u1");
    expect(after.entries.map((entry) => [entry.nonce, entry.state])).toEqual([["a", "sending"], ["c", "sending"]]);
  });

  it("does not send by itself what another user left", () => {
    const store = memory();
    filled(store);
    const after = new Outbox(store);
    after.restore("u2");
    expect(after.next("r")).toBeUndefined();
    expect(after.entries.every((entry) => entry.state === "failed")).toBe(true);
  });

  it("passes over a failed one; a retry goes behind those waiting", () => {
    const outbox = filled();
    outbox.fail("r", "a", "no");
    expect(outbox.next("r")?.nonce).toBe("b");
    outbox.retry("r", "a");
    expect(outbox.entries.map((entry) => entry.nonce)).toEqual(["b", "c", "a"]);
    expect(outbox.find("r", "a")).toMatchObject({ state: "sending" });
    expect(outbox.find("r", "a")).not.toHaveProperty("problem");
  });

  it("can take a new nonce at a retry", () => {
    const outbox = filled();
    outbox.fail("r", "a", "conflict");
    outbox.retry("r", "a", "fresh");
    expect(outbox.find("r", "a")).toBeUndefined();
    expect(outbox.find("r", "fresh")?.text).toBe("a");
  });

  it("sends again what of its own was lost, in order and first, and what is deleted or another's not", () => {
    const outbox = filled();
    const mine = (nonce: string, fields = {}) => message(1, { by: ann, nonce, text: nonce, ...fields });
    outbox.addLost([mine("x"), message(2), mine("y"), mine("b"), mine("z", { deleted: true })]);
    expect(outbox.entries.map((entry) => [entry.nonce, entry.text, entry.state])).toEqual([
      ["x", "x", "sending"],
      ["y", "y", "sending"],
      ["a", "a", "sending"],
      ["b", "b", "sending"],
      ["c", "c", "sending"],
    ]);
  });

  it("reads damaged storage as empty", () => {
    const store = memory();
    store.set("chat.outbox", "{");
    const outbox = new Outbox(store);
    outbox.restore("u1");
    expect(outbox.entries).toEqual([]);
  });
});
