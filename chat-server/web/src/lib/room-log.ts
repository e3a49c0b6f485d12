import { isEvent, type Events, type LogEvent, type Message, type Position } from "./protocol";
import { RoomUpdates, type RoomState, type UpdateNote } from "./room-updates";

/** A line of a room as it is shown: a message, or a short note that someone came, went or changed the room. */
export type Item =
  | { kind: "message"; offset: number; at: number; message: Message }
  | { kind: "note"; offset: number; at: number; text: string };

export interface Range {
  from: number;
  to: number;
}

/** What an event did: nothing new, taken in, or it does not go on from what is here, which has to be read anew. */
export type Applied = "duplicate" | "applied" | "reload";

/**
 * One room's log as far as this page has it. Pure: no socket, no clock, no DOM.
 *
 * Guarantee: each offset is taken in once, lines stand in ascending order, and `position` is the last offset below
 * which nothing is missing, so that a reconnect from `position` never skips an entry, even while a gap is open.
 *
 * A store that was restarted begins a new life (epoch) of the log, in which the offsets go on; entries keep the epoch in
 * which they were written. It may have lost the newest ones: then a session or a gap says from where on the new life differs,
 * or its first entry stands where an older one does. What was held and is not known to be in the log is told by `takeLost`.
 */
export class RoomLog {
  /** Of the newest entry, or a later one that was told of since. */
  epoch: string;
  /** The highest offset seen, or known to exist. */
  head: number;
  /** Offsets up to `head` that have not come yet, ascending and disjoint. */
  missing: Range[] = [];
  items: Item[] = [];
  /** Nothing lies before the first item. */
  complete = false;
  /** Rises when something that was held is thrown away: an answer to what was asked before that is none any more. */
  revision = 0;
  readonly #lives = new Set<string>();
  readonly #updates: RoomUpdates;
  #lost: Message[] = [];

  /** `state` is what the room is at `position`, or after it. */
  constructor(position: Position, state: RoomState = { name: "", topic: "", archived: false }) {
    this.#updates = new RoomUpdates(state);
    this.epoch = position.epoch;
    this.head = position.offset;
    this.#lives.add(position.epoch);
  }

  get position(): Position {
    const first = this.missing[0];
    return { epoch: this.epoch, offset: first ? first.from - 1 : this.head };
  }

  /** What the room is by the newest entry that tells it. */
  get state(): RoomState {
    return this.#updates.state;
  }

  /**
   * Forget everything shown and start again at `position`: the old range is gone, or the epoch is another's, and of what
   * older ones had nothing from `lostFrom` on is in it. `state` is what the room is there, where that is known.
   */
  reset(position: Position, { lostFrom = Infinity, state = this.state }: { lostFrom?: number; state?: RoomState } = {}): void {
    this.#updates.restart(state);
    this.#lose((message) => message.offset >= lostFrom && message.epoch !== position.epoch);
    this.epoch = position.epoch;
    this.#lives.add(position.epoch);
    this.head = position.offset;
    this.missing = [];
    this.items = [];
    this.complete = false;
    this.revision++;
  }

  apply(event: LogEvent): Applied {
    const { epoch, offset } = event;
    const newest = offset > this.head;
    // Another life that goes on exactly where we stand holds what we have. Anywhere else it may not.
    if (!this.#lives.has(epoch) && offset !== this.head + 1 && !this.#isMissing(offset)) return "reload";
    if (!this.#take(offset)) return "duplicate";
    // Then nothing that an ack or the history brought of the old one comes after it.
    if (newest && !this.#lives.has(epoch)) this.#lose((message) => message.offset >= offset && message.epoch !== epoch);
    this.#lives.add(epoch);
    if (newest) this.epoch = epoch;
    this.#show(event);
    return "applied";
  }

  /** A session goes on after `position`, which is the one it was given. True if something held was dropped. */
  resume(position: Position): boolean {
    const dropped = this.#enter(position.epoch, position.offset + 1);
    this.#expect(position.offset);
    return dropped;
  }

  /** Entries exist that have not been sent, and are to be paged. True if something held was dropped. */
  openGap(gap: Range & { epoch: string }): boolean {
    const dropped = this.#enter(gap.epoch, gap.from);
    this.#expect(gap.to);
    return dropped;
  }

  /** The log has been read from `from` up to `to`: what did not come by itself is not there. */
  closeGap(from: number, to: number): void {
    const rest: Range[] = [];
    for (const range of this.missing) {
      if (range.to < from || range.from > to) rest.push(range);
      else {
        if (range.from < from) rest.push({ from: range.from, to: from - 1 });
        if (range.to > to) rest.push({ from: to + 1, to: range.to });
      }
    }
    this.missing = rest;
  }

  /** Messages read from the history. They never move the position: entries between them may still be on their way. */
  addHistory(messages: readonly Message[], complete = false): void {
    for (const message of messages) this.addMessage(message);
    if (complete) this.complete = true;
  }

  addMessage(message: Message): void {
    this.#insert({ kind: "message", offset: message.offset, at: message.at, message });
  }

  /** Keep the newest `count` lines; the older ones can be read again. */
  trim(count: number): boolean {
    if (this.items.length <= count) return false;
    this.items = this.items.slice(-count);
    this.complete = false;
    return true;
  }

  /** Messages that were held and are not known to be in the log any more, ascending; each is told once. */
  takeLost(): Message[] {
    const lost = this.#lost;
    this.#lost = [];
    return lost;
  }

  findById(id: string): Extract<Item, { kind: "message" }> | undefined {
    for (let i = this.items.length - 1; i >= 0; i--) {
      const item = this.items[i]!;
      if (item.kind === "message" && item.message.id === id) return item;
    }
    return undefined;
  }

  /** The log goes on in `epoch`: where it was not known, what is held from `from` on is not in it, or will come again. */
  #enter(epoch: string, from: number): boolean {
    if (epoch === this.epoch) return false;
    this.epoch = epoch;
    this.#lives.add(epoch);
    // A message that was acked may stand beyond the head.
    const held = this.items.length;
    this.#lose((message) => message.offset >= from && message.epoch !== epoch);
    this.items = this.items.filter((item) => item.offset < from);
    this.#updates.cut(from);
    if (from > this.head && this.items.length === held) return false;
    this.closeGap(from, Infinity);
    this.head = Math.min(this.head, from - 1);
    this.revision++;
    return true;
  }

  #lose(isLost: (message: Message) => boolean): void {
    const kept = this.items.filter((item) => item.kind !== "message" || !isLost(item.message));
    if (kept.length === this.items.length) return;
    for (const item of this.items) if (item.kind === "message" && isLost(item.message)) this.#lost.push(item.message);
    this.items = kept;
    this.revision++;
  }

  #expect(head: number): void {
    if (head <= this.head) return;
    this.#miss(this.head + 1, head);
    this.head = head;
  }

  #isMissing(offset: number): boolean {
    return this.missing.some((range) => offset >= range.from && offset <= range.to);
  }

  /** True if this offset is new. */
  #take(offset: number): boolean {
    if (offset > this.head) {
      if (offset > this.head + 1) this.#miss(this.head + 1, offset - 1);
      this.head = offset;
      return true;
    }
    if (!this.#isMissing(offset)) return false;
    this.closeGap(offset, offset);
    return true;
  }

  #miss(from: number, to: number): void {
    const last = this.missing.at(-1);
    if (last && last.to === from - 1) this.missing = [...this.missing.slice(0, -1), { from: last.from, to }];
    else this.missing = [...this.missing, { from, to }];
  }

  #show(event: LogEvent): void {
    const { offset, at } = event;
    switch (event.event) {
      case "message:new":
        this.addMessage(event as LogEvent & Events["message:new"]);
        break;
      case "message:edited":
        this.#amend(event["target"], { text: String(event["text"] ?? ""), editedAt: at });
        break;
      case "message:deleted":
        this.#amend(event["target"], { text: "", deleted: true });
        break;
      case "room:updated":
        for (const note of this.#updates.add(event as LogEvent & Events["room:updated"])) this.#noteUpdate(note);
        break;
      default: {
        const text = noteText(event);
        if (text) this.#insert({ kind: "note", offset, at, text });
      }
    }
  }

  #noteUpdate({ offset, at, text }: UpdateNote): void {
    this.items = this.items.filter((item) => item.offset !== offset);
    if (text) this.#insert({ kind: "note", offset, at, text });
  }

  #amend(target: unknown, change: Partial<Message>): void {
    const item = this.findById(String(target));
    if (!item || item.message.deleted) return;
    // A new object, not a changed one: what is shown is compared by identity.
    const index = this.items.indexOf(item);
    this.items[index] = { ...item, message: { ...item.message, ...change } };
  }

  #insert(item: Item): void {
    const items = this.items;
    let i = items.length;
    // Nearly always the newest: look from the end.
    while (i > 0 && items[i - 1]!.offset > item.offset) i--;
    const same = items[i - 1];
    if (same?.offset !== item.offset) items.splice(i, 0, item);
    // An ack that came late may have put here what the store then lost.
    else if (idOf(same) !== idOf(item)) {
      if (same.kind === "message" && !isSame(same, item)) this.#lost.push(same.message);
      items[i - 1] = item;
    }
  }
}

/** Whether both are the same message, stored once more after it had been lost. */
function isSame(one: Item, other: Item): boolean {
  if (one.kind !== "message" || other.kind !== "message") return false;
  const { by, nonce } = one.message;
  return nonce === other.message.nonce && by.id === other.message.by.id;
}

function idOf(item: Item): string | undefined {
  return item.kind === "message" ? item.message.id : undefined;
}

function noteText(event: LogEvent): string | undefined {
  if (event.room === "lobby") return undefined;
  if (isEvent(event, "member:joined")) return `${event.user.name} joined`;
  if (isEvent(event, "member:left")) {
    const { user, reason } = event;
    return reason === "kicked" ? `${user.name} was removed` : reason === "banned" ? `${user.name} was banned` : `${user.name} left`;
  }
  return undefined;
}
