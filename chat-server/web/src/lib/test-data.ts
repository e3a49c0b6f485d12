import type { Events, LogEvent, Message, User } from "./protocol";

export const ann: User = { id: "u1", name: "Ann", guest: true };
export const bo: User = { id: "u2", name: "Bo", guest: true };

export function message(offset: number, fields: Partial<Message> = {}): Message {
  return { room: "r", epoch: "e", offset, id: `m${offset}`, at: offset * 1000, by: bo, text: `text ${offset}`, nonce: `n${offset}`, reactions: [], ...fields };
}

export function event(offset: number, fields: Partial<Message> = {}): LogEvent {
  return { event: "message:new", ...message(offset, fields) };
}

/** An entry by which a room became `state`. */
export function update(offset: number, state: Partial<Events["room:updated"]> = {}): LogEvent & Events["room:updated"] {
  const { room, epoch, id, at, by } = message(offset);
  return { event: "room:updated", room, epoch, offset, id, at, by, name: "Plans", topic: "", archived: false, ...state };
}
