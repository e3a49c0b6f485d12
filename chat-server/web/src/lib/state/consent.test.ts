import { describe, expect, it } from "vitest";
import type { Request } from "../protocol";
import { ann, bo } from "../test-data";
import { Consent } from "./consent.svelte";

const invitation = { room: "r1", name: "Club", kind: "private" as const, by: bo };

function consent(): { consent: Consent; asked: [string, object][] } {
  const asked: [string, object][] = [];
  const request = (async (name: string, payload: object) => {
    asked.push([name, payload]);
    return {};
  }) as Request;
  return { consent: new Consent(request), asked };
}

describe("what others may do", () => {
  it("is what the newest session told, and nothing of the one before", () => {
    const { consent: mine } = consent();
    mine.begin({ invites: "none", invited: [invitation], blocked: [ann.id] });
    expect([mine.invites, mine.invited.get("r1")?.name, mine.blocked.has(ann.id)]).toEqual(["none", "Club", true]);
    mine.begin({});
    expect([mine.invites, mine.invited.size, mine.blocked.size]).toEqual(["all", 0, 0]);
  });

  it("changes once the server has agreed", async () => {
    const { consent: mine, asked } = consent();
    mine.heard(invitation);
    await mine.decline("r1");
    await mine.block(bo.id, true);
    await mine.setInvites("known");
    expect(asked.map(([name]) => name)).toEqual(["room:leave", "user:block", "profile:set"]);
    expect([mine.invites, mine.invited.size, mine.blocked.has(bo.id)]).toEqual(["known", 0, true]);
    await mine.block(bo.id, false);
    expect(mine.blocked.size).toBe(0);
  });

  it("stays as it was where the server refuses", async () => {
    const mine = new Consent((async () => {
      throw new Error("refused");
    }) as unknown as Request);
    mine.heard(invitation);
    await expect(mine.decline("r1")).rejects.toThrow();
    await expect(mine.block(bo.id, true)).rejects.toThrow();
    expect([mine.invited.size, mine.blocked.size]).toEqual([1, 0]);
  });
});
