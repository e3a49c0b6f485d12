// What of the protocol's types is this page's own: names for parts of the contract, errors, and lenient reads. The contract
// itself is `protocol.generated.ts`, all of whose types are to be had from here.
import type { Code, Events, LogEvent, Message as SentMessage, Refusal, Requests, Trouble, User } from "./protocol.generated";

export type * from "./protocol.generated";

export type RequestName = keyof Requests;
export type Payload<N extends RequestName> = Requests[N]["payload"];
export type Answer<N extends RequestName> = Requests[N]["answer"];

/** Sends one request and gives its answer without `ok`, or throws a RequestError. */
export type Request = <N extends RequestName>(name: N, payload: Payload<N>) => Promise<Answer<N>>;

export type Session = Events["session"];
export type GapEvent = Events["gap"];

/** A message, and what later entries of its log made of it. */
export interface Message extends SentMessage {
  editedAt?: number;
  deleted?: boolean;
}

/** The log events of a room, which all move its position whether the page shows them or not. */
export const LOG_EVENTS = [
  "message:new",
  "message:edited",
  "message:deleted",
  "message:reacted",
  "member:joined",
  "member:left",
  "member:role",
  "room:updated",
] as const;

/** Whether an entry is the event of this name, and so has what that event tells. */
export function isEvent<N extends keyof Events>(entry: LogEvent, name: N): entry is LogEvent & Events[N] {
  return entry.event === name;
}

/** `timeout` and `disconnected` are this page's own words: the request has no outcome yet. */
export type ErrorCode = Code | "timeout" | "disconnected";

export class RequestError extends Error {
  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly temporary: boolean,
    readonly retryAfterMs?: number,
    /** Why the server's store refused, where it did. */
    readonly store?: Trouble,
  ) {
    super(message);
  }

  static from(error: unknown): RequestError {
    const e = (error ?? {}) as Partial<Refusal>;
    const code = e.code ?? "unavailable";
    const passes = code === "rate_limited" || code === "unavailable" || code === "draining";
    return new RequestError(code, e.message ?? code, e.temporary ?? passes, e.retryAfterMs, e.store);
  }
}

/** Some events name a user by id, others carry the whole user: both are read. */
export function userId(user: unknown): string {
  return typeof user === "string" ? user : ((user as User | undefined)?.id ?? "");
}

export function isUser(user: unknown): user is User {
  return typeof user === "object" && user !== null && typeof (user as User).id === "string";
}
