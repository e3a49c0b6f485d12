import { expect, test } from "vitest";
import type { View } from "./protocol";
import { searchRooms } from "./room-search";

const room = (id: string): View => ({ room: id, name: id, kind: "public", topic: "", archived: false, members: 1 });

test("a search goes on over pages that show nothing", async () => {
  const asked: (string | undefined)[] = [];
  const pages = [{ rooms: [], cursor: "a" }, { rooms: [room("mine")], cursor: "b" }, { rooms: [room("r1")], cursor: "c" }, { rooms: [] }];
  const list = async (cursor?: string) => {
    asked.push(cursor);
    return pages[asked.length - 1]!;
  };
  const found = await searchRooms(list, ({ room }) => room !== "mine");
  expect(found).toEqual({ rooms: [room("mine"), room("r1")], cursor: "c" });
  expect(asked).toEqual([undefined, "a", "b"]);
  expect(await searchRooms(list, () => true, "c")).toEqual({ rooms: [] });
});

test("a search ends by itself", async () => {
  let asked = 0;
  const list = async () => ({ rooms: [], cursor: `${++asked}` });
  expect((await searchRooms(list, () => true)).cursor).toBe("20");
});
