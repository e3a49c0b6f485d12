import type { LogEvent, Message } from "./protocol";

export const ann = { id: "u1", name: "Ann" };
export const bo = { id: "u2", name: "Bo" };

export function message(offset: number, fields: Partial<Message> = {}): Message {
  return { room: "r", epoch: "e", offset, id: `m${offset}`, at: offset * 1000, by: bo, text: `text ${offset}`, nonce: `n${offset}`, ...fields };
}

export function event(offset: number, fields: Partial<Message> = {}): LogEvent {
  return { event: "message:new", ...message(offset, fields) } as unknown as LogEvent;
}
