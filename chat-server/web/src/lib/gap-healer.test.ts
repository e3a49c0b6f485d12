import { describe, expect, it } from "vitest";
import { healGaps } from "./gap-healer";
import { RequestError, type Answer, type LogEvent, type Payload, type Request } from "./protocol";
import { RoomLog } from "./room-log";
import { event } from "./test-data";

/** A log of `head` entries, `page` of them a request. */
function server(head: number, page: number, asked: number[] = []): Request {
  return (async (_: string, { after }: Payload<"log:get">): Promise<Answer<"log:get">> => {
    asked.push(after);
    const events = Array.from({ length: Math.min(page, head - after) }, (_, i) => event(after + 1 + i));
    return { events, position: { epoch: "e", offset: head }, complete: after + page >= head };
  }) as Request;
}

describe("healing a gap", () => {
  it("pages until nothing is missing, and merges in order with what came live meanwhile", async () => {
    const log = new RoomLog({ epoch: "e", offset: 2 });
    log.openGap({ epoch: "e", from: 3, to: 9 });
    log.apply(event(10));
    const asked: number[] = [];
    const outcome = await healGaps(log, "r", server(10, 3, asked), (entry) => log.apply(entry));
    expect(outcome).toBe("healed");
    expect(asked).toEqual([2, 5, 8]);
    expect(log.items.map((item) => item.offset)).toEqual([3, 4, 5, 6, 7, 8, 9, 10]);
    expect(log.position.offset).toBe(10);
  });

  it("keeps what was read when a page fails, and goes on from there", async () => {
    const log = new RoomLog({ epoch: "e", offset: 0 });
    log.openGap({ epoch: "e", from: 1, to: 6 });
    const healthy = server(6, 2);
    let calls = 0;
    const failing: Request = async (name, payload) => {
      if (++calls === 2) throw new RequestError("unavailable", "away", true);
      return healthy(name, payload);
    };
    await expect(healGaps(log, "r", failing, (entry) => log.apply(entry))).rejects.toThrow("away");
    expect(log.position.offset).toBe(2);
    expect(await healGaps(log, "r", healthy, (entry) => log.apply(entry))).toBe("healed");
    expect(log.position.offset).toBe(6);
  });

  it("asks again in the new epoch when the log lost what is being read", async () => {
    const log = new RoomLog({ epoch: "e", offset: 0 });
    log.openGap({ epoch: "e", from: 1, to: 6 });
    const asked: object[] = [];
    const healthy = server(4, 10);
    const request: Request = async (name, payload) => {
      asked.push(payload as object);
      const answer = await healthy(name, payload);
      // The store is restarted while the answer is under way.
      if (asked.length === 1) log.openGap({ epoch: "f", from: 3, to: 4 });
      return answer as never;
    };
    const taken: number[] = [];
    const apply = (entry: LogEvent): void => {
      taken.push(entry.offset);
      log.apply(entry);
    };
    expect(await healGaps(log, "r", request, apply)).toBe("healed");
    expect(asked).toMatchObject([{ epoch: "e", after: 0 }, { epoch: "f", after: 0 }]);
    expect(taken).toEqual([1, 2, 3, 4]);
    expect(log.position).toEqual({ epoch: "f", offset: 4 });
  });

  it("says so when the range is gone", async () => {
    const log = new RoomLog({ epoch: "e", offset: 0 });
    log.openGap({ epoch: "e", from: 1, to: 6 });
    const gone = (async () => ({ recovered: false, events: [] })) as Request;
    expect(await healGaps(log, "r", gone, () => {})).toBe("gone");
  });

  it("does not ask for ever when a page is empty but not the last", async () => {
    const log = new RoomLog({ epoch: "e", offset: 0 });
    log.openGap({ epoch: "e", from: 1, to: 6 });
    const empty = (async () => ({ events: [], complete: false })) as Request;
    expect(await healGaps(log, "r", empty, () => {})).toBe("gone");
  });
});
