import type { Request } from "../protocol";
import type { Room } from "./room.svelte";

const MARK_DELAY = 250;

/** Tells the server how far was read, and asks it where its count and ours may differ. */
export class Reading {
  /** Seen and not yet told, with the offset that was seen: what comes after is not read by it. */
  readonly #seen = new Map<Room, number>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly request: Request,
    private readonly online: () => boolean,
  ) {}

  /** The newest message of the open room is on the screen of someone who looks at it. */
  seen(room: Room): void {
    if (room.unread === 0) return;
    this.#seen.set(room, room.log.position.offset);
    this.#timer ??= setTimeout(() => this.tell(), MARK_DELAY);
  }

  /** Tell what waits to be told; also after a reconnect, when what was seen could not be told before. */
  tell(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (!this.online()) return;
    for (const [room, offset] of this.#seen) void this.#mark(room, offset);
  }

  /** While we were away another tab may have read on, which no replay tells. Nearly always the two counts agree. */
  async compare(room: Room, counted?: number): Promise<void> {
    if (room.unread === counted || room.log.missing.length || !this.online()) return;
    try {
      const offset = Math.max(1, room.counter.readTo);
      // A mark never moves back, so an old one only asks.
      const { unread } = await this.request("read:mark", { room: room.id, offset });
      room.seedUnread(unread, room.log.head);
    } catch {
      // The next session compares again.
    }
  }

  forget(room?: Room): void {
    if (room) this.#seen.delete(room);
    else this.#seen.clear();
  }

  async #mark(room: Room, offset: number): Promise<void> {
    try {
      const { unread } = await this.request("read:mark", { room: room.id, offset });
      room.marked(offset, unread);
      if (this.#seen.get(room) === offset) this.#seen.delete(room);
    } catch {
      // Stays to be told: at the next message seen, or the next session.
    }
  }
}
