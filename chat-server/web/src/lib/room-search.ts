import type { Answer, View } from "./protocol";

type Page = Answer<"room:list">;

/** Pages that one search asks for by itself. */
const PAGES = 20;

/**
 * The next page that holds something to show, or the last one. A page of the server may be empty and have a cursor: its work
 * for one request has a bound.
 */
export async function searchRooms(list: (cursor?: string) => Promise<Page>, shows: (room: View) => boolean, from?: string): Promise<Page> {
  const rooms: View[] = [];
  let cursor = from;
  for (let asked = 0; asked < PAGES; asked++) {
    const page = await list(cursor);
    rooms.push(...page.rooms);
    cursor = page.cursor || undefined;
    if (!cursor || page.rooms.some(shows)) break;
  }
  return cursor ? { rooms, cursor } : { rooms };
}
