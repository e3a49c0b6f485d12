import { describe, expect, it } from "vitest";
import type { LogEvent } from "./protocol";
import { Strays } from "./strays";
import { event } from "./test-data";

describe("Strays", () => {
  it("gives what came while a room was entered, in order and once", async () => {
    const strays = new Strays();
    const taken: LogEvent[] = [];
    const take = (entry: LogEvent): void => void taken.push(entry);
    await strays.during(async () => {
      strays.heard(event(5));
      strays.heard(event(6));
    }, take);
    await strays.during(async () => {}, take);
    expect(taken.map((entry) => entry.offset)).toEqual([5, 6]);
  });

  it("keeps nothing while no room is entered", async () => {
    const strays = new Strays();
    strays.heard(event(5));
    const taken: LogEvent[] = [];
    await strays.during(async () => {}, (entry) => void taken.push(entry));
    expect(taken).toEqual([]);
  });

  it("gives it also when the answer was a refusal, and passes that on", async () => {
    const strays = new Strays();
    const taken: LogEvent[] = [];
    const act = async (): Promise<void> => {
      strays.heard(event(5));
      throw new Error("refused");
    };
    await expect(strays.during(act, (entry) => void taken.push(entry))).rejects.toThrow("refused");
    expect(taken).toHaveLength(1);
  });
});
