import type { Pending } from "./outbox";
import type { Message, User } from "./protocol";
import type { Item } from "./room-log";

export type Row =
  | { kind: "day"; key: string; at: number }
  | { kind: "unread"; key: string }
  | { kind: "note"; key: string; text: string; at: number }
  | { kind: "message"; key: string; message: Message; mine: boolean; first: boolean; last: boolean }
  | { kind: "pending"; key: string; entry: Pending; first: boolean; last: boolean };

const GROUP_MS = 5 * 60_000;

/** What stands in the message list, top to bottom: days, the unread line, messages grouped by who and when, and what is still under way. */
export function buildRows(items: readonly Item[], pending: readonly Pending[], me: User, firstUnread?: number): Row[] {
  const rows: Row[] = [];
  let day = "";
  let open: { by: string; at: number; row: Extract<Row, { first: boolean }> } | undefined;

  const onDay = (at: number): void => {
    const today = new Date(at).toDateString();
    if (today === day) return;
    day = today;
    open = undefined;
    rows.push({ kind: "day", key: `day:${today}`, at });
  };
  const group = (by: string, at: number, row: Extract<Row, { first: boolean }>): void => {
    if (open && open.by === by && at - open.at < GROUP_MS) open.row.last = false;
    else row.first = true;
    open = { by, at, row };
    rows.push(row);
  };

  for (const item of items) {
    onDay(item.at);
    if (firstUnread === item.offset) {
      open = undefined;
      rows.push({ kind: "unread", key: "unread" });
    }
    if (item.kind === "note") {
      open = undefined;
      rows.push({ kind: "note", key: `o:${item.offset}`, text: item.text, at: item.at });
      continue;
    }
    const { message } = item;
    const mine = message.by.id === me.id;
    // My own messages keep the key they had while they were sent, so that the same element becomes the stored one.
    const key = mine && message.nonce ? `n:${message.nonce}` : `o:${message.offset}`;
    group(message.by.id, message.at, { kind: "message", key, message, mine, first: false, last: true });
  }
  for (const entry of pending) {
    onDay(entry.at);
    group(me.id, entry.at, { kind: "pending", key: `n:${entry.nonce}`, entry, first: false, last: true });
  }
  return rows;
}

/** Where the unread line goes: before the oldest of the last `unread` messages of others; nowhere if that is not loaded. */
export function firstUnreadOffset(items: readonly Item[], unread: number, me: string): number | undefined {
  if (unread <= 0) return undefined;
  let left = unread;
  for (let i = items.length - 1; i >= 0; i--) {
    const item = items[i]!;
    if (item.kind !== "message" || item.message.by.id === me || item.message.deleted) continue;
    if (--left === 0) return item.offset;
  }
  return undefined;
}
