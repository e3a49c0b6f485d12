import type { Answer, Kind, Payload } from "../protocol";
import { folder } from "../place";
import { RequestError } from "../protocol";
import { chat, LOBBY } from "./chat.svelte";
import type { Room } from "./room.svelte";
import { roomHash, ui } from "./ui.svelte";

// What a person does with rooms. Each throws a RequestError that the dialog shows.

export async function createRoom(name: string, kind: Kind, topic: string): Promise<void> {
  const wanted = { name: name.trim(), kind, ...(topic.trim() ? { topic: topic.trim() } : {}) };
  await chat.entering(async () => enter((await chat.request("room:create", wanted)).room));
}

export async function listRooms(query: string, cursor?: string): Promise<Answer<"room:list">> {
  return chat.request("room:list", { ...(query.trim() ? { query: query.trim() } : {}), ...(cursor ? { cursor } : {}) });
}

/** Go to a room, joining it where it is not one's own yet. */
export async function enter(id: string): Promise<void> {
  if (!chat.rooms.has(id)) await chat.entering(async () => take(await chat.request("room:join", { room: id, limit: 50 })));
  ui.go(roomHash(id));
  ui.drawer = false;
}

/** Only what is to change is named. */
export async function updateRoom(room: string, change: Omit<Payload<"room:update">, "room">): Promise<void> {
  await chat.request("room:update", { room, ...change });
}

export async function leave(room: Room): Promise<void> {
  await chat.request("room:leave", { room: room.id });
  chat.dropRoom(room.id);
}

export async function openDm(user: string): Promise<void> {
  await chat.entering(async () => enter((await chat.request("dm:open", { user })).room));
}

/** Whether they are in the room now; otherwise they are asked first. */
export async function invitePerson(room: string, user: string): Promise<boolean> {
  const { added = true } = await chat.request("room:invite", { room, user });
  return added;
}

/** Hide a direct message until something is said in it. */
export async function closeDm(room: Room): Promise<void> {
  await chat.request("dm:close", { room: room.id });
  room.hidden = true;
  if (chat.current === room) ui.go(ui.narrow ? "#/" : roomHash(LOBBY), true);
}

export async function acceptRequest(room: Room): Promise<void> {
  await chat.request("room:accept", { room: room.id });
  room.request = false;
}

/** Follow an invitation of a person. */
export async function acceptInvitation(id: string): Promise<void> {
  const room = await chat.entering(async () => take(await chat.request("room:accept", { room: id })));
  ui.go(roomHash(room.id));
}

export async function inviteLink(room: string, uses: number): Promise<string> {
  // Always there where no user is named.
  const { invite = "" } = await chat.request("room:invite", { room, uses });
  return `${location.origin}${folder()}#/invite/${encodeURIComponent(invite)}`;
}

/** A page of the open links of a room that one may see and end. */
export async function openLinks(room: string, cursor?: string): Promise<Answer<"room:invites">> {
  return chat.request("room:invites", { room, ...(cursor ? { cursor } : {}) });
}

export async function endLink(room: string, invite: string): Promise<void> {
  await chat.request("room:revoke", { room, invite });
}

export async function acceptInvite(token: string): Promise<void> {
  const room = await chat.entering(async () => take(await chat.request("room:accept", { invite: token })));
  ui.go(roomHash(room.id), true);
}

function take(joined: Answer<"room:join">): Room {
  const room = chat.adopt({ ...joined, unread: 0 });
  room.log.addHistory(joined.messages);
  room.history = "loaded";
  for (const message of joined.messages) chat.people.know(message.by);
  room.publishNow();
  return room;
}

export function explain(error: unknown, words: Partial<Record<string, string>> = {}): string {
  if (!(error instanceof RequestError)) return "Something went wrong.";
  const own = words[error.code];
  if (own) return own;
  switch (error.code) {
    case "rate_limited":
      return "That was a little fast. Please wait a moment.";
    case "unavailable":
    case "draining":
    case "timeout":
      return "The server can’t do that right now. Please try again.";
    case "disconnected":
      return "Not connected. Please try again when the connection is back.";
    case "forbidden":
      return "You may not do that.";
    case "not_found":
      return "That is not there (any more).";
    case "conflict":
      return "That is taken already.";
    default:
      return "The server refused this.";
  }
}
