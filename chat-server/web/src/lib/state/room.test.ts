import { describe, expect, it } from "vitest";
import type { Membership } from "../protocol";
import { ann, update } from "../test-data";
import { Room } from "./room.svelte";

const plans: Membership = { room: "r", name: "Plans", kind: "public", topic: "", archived: false, role: "owner", position: { epoch: "e", offset: 3 }, unread: 0 };

function take(room: Room, ...updates: ReturnType<typeof update>[]): void {
  for (const one of updates) {
    room.log.apply(one);
    room.took(one, ann.id);
  }
}
const shown = ({ name, topic, archived }: Room): object => ({ name, topic, archived });

describe("what a room is", () => {
  it("follows its log", () => {
    const room = new Room(plans);
    take(room, update(4, { name: "Trip", topic: "May", archived: true }));
    expect(shown(room)).toEqual({ name: "Trip", topic: "May", archived: true });
    take(room, update(5, { name: "Trip", topic: "May" }));
    expect(room.archived).toBe(false);
  });

  it("is what the newest entry tells, also while older ones are still paged", () => {
    const room = new Room(plans);
    take(room, update(9, { name: "Trip", archived: true }), update(5, { name: "Tour" }));
    expect(shown(room)).toEqual({ name: "Trip", topic: "", archived: true });
  });

  it("is told by a session", () => {
    const room = new Room({ ...plans, archived: true });
    expect(room.archived).toBe(true);
    room.describe(plans);
    expect(room.archived).toBe(false);
  });

  it("is what it was before where the store lost the change", () => {
    const room = new Room(plans);
    take(room, update(4, { name: "Trip", archived: true }));
    room.log.openGap({ epoch: "f", from: 4, to: 3 });
    room.cut(4);
    expect(shown(room)).toEqual({ name: "Plans", topic: "", archived: false });
  });

  it("may be changed by owners and moderators, and not in a direct message", () => {
    const may = (more: Partial<Membership>): boolean => new Room({ ...plans, ...more }).mayUpdate;
    expect([may({}), may({ role: "moderator" }), may({ role: "member" }), may({ role: undefined }), may({ kind: "dm" })]).toEqual([true, true, false, false, false]);
  });
});
