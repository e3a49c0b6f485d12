import type { Events } from "./protocol";

type Update = Events["room:updated"];
export type RoomState = Pick<Update, "name" | "topic" | "archived">;

/** What is shown of an update in the room; without a text it changed nothing. */
export interface UpdateNote {
  offset: number;
  at: number;
  text: string | undefined;
}

/**
 * What a room is called, what it is about, and whether it is archived, by its log. Pure. An update tells the state after
 * it, so what it changed is known from the one before; they may come out of order, while a gap is open.
 */
export class RoomUpdates {
  /** Of when the log began for this page. */
  #first: RoomState;
  /** By offset, ascending. */
  #updates: Update[] = [];

  constructor(first: RoomState) {
    this.#first = first;
  }

  /** By the newest update that is here. */
  get state(): RoomState {
    const { name, topic, archived } = this.#updates.at(-1) ?? this.#first;
    return { name, topic, archived };
  }

  /** Takes an update in. Its note, and that of the one after it, which is a change of it now. */
  add(update: Update): UpdateNote[] {
    const at = this.#updates.findLastIndex((other) => other.offset < update.offset) + 1;
    this.#updates.splice(at, 0, update);
    return this.#updates.slice(at, at + 2).map((one, n) => {
      const before = this.#updates[at + n - 1] ?? this.#first;
      return { offset: one.offset, at: one.at, text: changeText(before, one) };
    });
  }

  /** The entries from `from` on are gone. */
  cut(from: number): void {
    this.#updates = this.#updates.filter((update) => update.offset < from);
  }

  /** The log begins anew, and the room is this. */
  restart(state: RoomState): void {
    this.#first = state;
    this.#updates = [];
  }
}

function changeText(before: RoomState, after: Update): string | undefined {
  const changes: string[] = [];
  if (after.name !== before.name) changes.push(`renamed the room to “${after.name}”`);
  if (after.topic !== before.topic) changes.push(after.topic ? `changed the topic to “${after.topic}”` : "removed the topic");
  if (after.archived !== before.archived) changes.push(after.archived ? "archived the room" : "unarchived the room");
  if (changes.length === 0) return undefined;
  const last = changes.pop();
  return `${after.by.name} ${changes.length ? `${changes.join(", ")} and ` : ""}${last}`;
}
