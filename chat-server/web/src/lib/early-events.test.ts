import { describe, expect, it } from "vitest";
import type { LogEvent } from "./protocol";
import { EarlyEvents } from "./early-events";
import { event } from "./test-data";

describe("EarlyEvents", () => {
  it("gives what came while a room was entered, in order and once", async () => {
    const earlyEvents = new EarlyEvents();
    const taken: LogEvent[] = [];
    const take = (entry: LogEvent): void => void taken.push(entry);
    await earlyEvents.during(async () => {
      earlyEvents.heard(event(5));
      earlyEvents.heard(event(6));
    }, take);
    await earlyEvents.during(async () => {}, take);
    expect(taken.map((entry) => entry.offset)).toEqual([5, 6]);
  });

  it("keeps nothing while no room is entered", async () => {
    const earlyEvents = new EarlyEvents();
    earlyEvents.heard(event(5));
    const taken: LogEvent[] = [];
    await earlyEvents.during(async () => {}, (entry) => void taken.push(entry));
    expect(taken).toEqual([]);
  });

  it("gives it also when the answer was a refusal, and passes that on", async () => {
    const earlyEvents = new EarlyEvents();
    const taken: LogEvent[] = [];
    const act = async (): Promise<void> => {
      earlyEvents.heard(event(5));
      throw new Error("refused");
    };
    await expect(earlyEvents.during(act, (entry) => void taken.push(entry))).rejects.toThrow("refused");
    expect(taken).toHaveLength(1);
  });
});
