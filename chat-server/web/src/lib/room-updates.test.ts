import { describe, expect, it } from "vitest";
import { RoomUpdates, type RoomState } from "./room-updates";
import { update } from "./test-data";

const first: RoomState = { name: "Plans", topic: "", archived: false };
const texts = (updates: RoomUpdates, ...all: ReturnType<typeof update>[]): (string | undefined)[] =>
  all.flatMap((one) => updates.add(one).map((note) => note.text));

describe("updates of a room", () => {
  it("are told as what they changed", () => {
    const updates = new RoomUpdates(first);
    const told = texts(
      updates,
      update(1, { name: "Plans for May" }),
      update(2, { name: "Plans for May", topic: "Where to go" }),
      update(3, { name: "Plans for May", topic: "Where to go", archived: true }),
      update(4, { name: "Plans for May", topic: "Where to go", archived: true }),
      update(5, { name: "Plans for May" }),
    );
    expect(told).toEqual([
      "Bo renamed the room to “Plans for May”",
      "Bo changed the topic to “Where to go”",
      "Bo archived the room",
      undefined,
      "Bo removed the topic and unarchived the room",
    ]);
    expect(updates.state).toEqual({ name: "Plans for May", topic: "", archived: false });
  });

  it("that change everything are told in one sentence", () => {
    expect(texts(new RoomUpdates(first), update(1, { name: "Trip", topic: "May", archived: true }))).toEqual([
      "Bo renamed the room to “Trip”, changed the topic to “May” and archived the room",
    ]);
  });

  it("that come late leave the state to newer ones, whose notes then tell less", () => {
    const updates = new RoomUpdates(first);
    updates.add(update(9, { name: "Trip", archived: true }));
    expect(updates.add(update(4, { name: "Trip" }))).toMatchObject([
      { offset: 4, text: "Bo renamed the room to “Trip”" },
      { offset: 9, text: "Bo archived the room" },
    ]);
    expect(updates.state).toEqual({ name: "Trip", topic: "", archived: true });
  });

  it("that the store lost are taken back", () => {
    const updates = new RoomUpdates(first);
    updates.add(update(4, { name: "Trip" }));
    updates.add(update(5, { name: "Trip", archived: true }));
    updates.cut(5);
    expect(updates.state).toEqual({ name: "Trip", topic: "", archived: false });
  });

  it("are counted from what the room is where its log begins anew", () => {
    const updates = new RoomUpdates(first);
    updates.restart({ name: "Trip", topic: "", archived: true });
    expect(texts(updates, update(40, { name: "Trip" }))).toEqual(["Bo unarchived the room"]);
  });
});
