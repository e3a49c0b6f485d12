import type { Kind } from "../protocol";
import type { Room } from "./room.svelte";
import { LOBBY } from "./chat.svelte";

const KINDS: Record<Kind, number> = { public: 1, private: 2, dm: 3 };

function rank(room: Room): number {
  return room.id === LOBBY ? 0 : KINDS[room.kind];
}

/** The order of the room list: the lobby, public rooms, private rooms, direct messages; by name in each. */
export function sortedRooms(rooms: Iterable<Room>): Room[] {
  return [...rooms].sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name) || a.id.localeCompare(b.id));
}
