// Protocol v1 as this page speaks it: shapes on the wire, and the few places where a field is read leniently.

export interface User {
  id: string;
  name: string;
  guest?: boolean;
}

export interface Position {
  epoch: string;
  offset: number;
}

export interface Message {
  room: string;
  epoch: string;
  offset: number;
  id: string;
  at: number;
  by: User;
  text: string;
  nonce?: string;
  editedAt?: number;
  deleted?: boolean;
}

/** Every entry of a room's log has these; the rest depends on `event`. */
export interface LogEvent {
  event: string;
  room: string;
  epoch: string;
  offset: number;
  id: string;
  at: number;
  by?: User;
  [field: string]: unknown;
}

export type RoomKind = "public" | "private" | "dm";
export type Role = "owner" | "moderator" | "member";
export type Status = "online" | "away" | "dnd" | "offline";

export interface RoomInfo {
  room: string;
  name: string;
  kind: RoomKind;
  topic?: string;
  role?: Role;
  members?: number;
}

export interface MyRoom extends RoomInfo {
  position: Position;
  unread: number;
  /** Of what I have, what comes after this was lost by the store. */
  forkedAt?: number;
}

export interface Limits {
  maxMessageBytes: number;
  messagesPerSecond?: number;
  messageBurst?: number;
  maxPayload?: number;
  historyLimit?: number;
}

export interface Session {
  protocol: number;
  node: string;
  user: User;
  resume?: string;
  recovered: boolean;
  unrecovered?: string[];
  rooms: MyRoom[];
  limits: Limits;
  serverTime: number;
}

export interface Gap {
  room: string;
  epoch: string;
  from: number;
  to: number;
}

export interface Member {
  user: User;
  role: Role;
  status: Status;
}

export interface HistoryPage {
  epoch: string;
  messages: Message[];
  complete: boolean;
}

export interface LogPage {
  events: LogEvent[];
  position?: Position;
  complete?: boolean;
  recovered?: boolean;
}

export interface Joined extends RoomInfo {
  position: Position;
  recovered: boolean;
  messages: Message[];
  events: LogEvent[];
}

export interface SendAck {
  id: string;
  position: Position;
  at: number;
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

/** `timeout` and `disconnected` are this page's own words: the request has no outcome yet. */
export type ErrorCode =
  | "bad_request"
  | "unauthenticated"
  | "forbidden"
  | "not_found"
  | "conflict"
  | "rate_limited"
  | "too_large"
  | "unavailable"
  | "draining"
  | "unsupported"
  | "timeout"
  | "disconnected";

export class RequestError extends Error {
  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly temporary: boolean,
    readonly retryAfterMs?: number,
  ) {
    super(message);
  }

  static from(error: unknown): RequestError {
    const e = (error ?? {}) as { code?: ErrorCode; message?: string; temporary?: boolean; retryAfterMs?: number };
    const code = e.code ?? "unavailable";
    const passes = code === "rate_limited" || code === "unavailable" || code === "draining";
    return new RequestError(code, e.message ?? code, e.temporary ?? passes, e.retryAfterMs);
  }
}

/** Sends one request and gives the ack without `ok`, or throws a RequestError. */
export type Request = <T>(event: string, payload?: object) => Promise<T>;

/** Some events name a user by id, others carry the whole user: both are read. */
export function userId(user: unknown): string {
  return typeof user === "string" ? user : ((user as User | undefined)?.id ?? "");
}

export function isUser(user: unknown): user is User {
  return typeof user === "object" && user !== null && typeof (user as User).id === "string";
}
