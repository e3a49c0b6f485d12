import type { Request } from "../protocol";
import type { Room } from "./room.svelte";

const NEXT_MS = 300;
const RETRY_MS = 3000;

/** Tells the server how far was read: what lies at the newest end of an open room on a visible page. */
export class Reading {
  readonly #busy = new Set<Room>();

  constructor(private readonly request: Request) {}

  mark(room: Room): void {
    if (!this.#busy.has(room) && room.seen && room.unread > 0) void this.#mark(room);
  }

  async #mark(room: Room): Promise<void> {
    this.#busy.add(room);
    let wait = NEXT_MS;
    try {
      const offset = room.log.head;
      const { unread } = await this.request<{ unread: number }>("read:mark", { room: room.id, offset });
      room.marked(offset, unread);
    } catch {
      wait = RETRY_MS;
    }
    // A busy room is marked a few times a second, not at each message.
    setTimeout(() => {
      this.#busy.delete(room);
      this.mark(room);
    }, wait);
  }
}
