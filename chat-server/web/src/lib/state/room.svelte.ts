import { isEvent, type Kind, type LogEvent, type Membership, type Message, type Role } from "../protocol";
import { RoomLog, type Item } from "../room-log";
import type { RoomState } from "../room-updates";
import { firstUnreadOffset } from "../rows";
import { Unread } from "../unread";

/** Lines kept of a room that is not open, and of one that is. */
const KEEP_CLOSED = 150;
const KEEP_OPEN = 600;

/** One of my rooms: the log and the unread count, and what of them is shown. */
export class Room {
  readonly id: string;
  name = $state("");
  kind = $state<Kind>("public");
  topic = $state("");
  role = $state<Role | undefined>();
  archived = $state(false);
  /** A direct message of somebody whom I do not know and have not answered. */
  request = $state(false);
  /** A direct message that I closed, until something is said in it. */
  hidden = $state(false);
  unread = $state(0);
  /** A new array at each change; the lines themselves are never changed in place. */
  items = $state.raw<readonly Item[]>([]);
  complete = $state(false);
  history = $state<"none" | "loading" | "loaded" | "failed">("none");
  loadingOlder = $state(false);
  /** Where the line "new" stands while the room is open. */
  marker = $state<number | undefined>();

  readonly log: RoomLog;
  readonly counter = new Unread();
  /** A gap is being paged. */
  healing = false;
  open = false;
  #publishing = false;

  constructor(room: Membership) {
    this.id = room.room;
    this.log = new RoomLog(room.position, stateOf(room));
    this.describe(room);
    this.seedUnread(room.unread, room.position.offset);
  }

  /** May change what the room is. */
  get mayUpdate(): boolean {
    return this.kind !== "dm" && (this.role === "owner" || this.role === "moderator");
  }

  /** As a session or an answer tells of it. */
  describe(room: Membership): void {
    this.kind = room.kind;
    if (room.role) this.role = room.role;
    this.set(room);
    this.#become(stateOf(room));
  }

  /** What a direct message is to me. A node of an earlier version says nothing of it. */
  set({ request = false, hidden = false }: { request?: boolean; hidden?: boolean }): void {
    this.request = request;
    this.hidden = hidden;
  }

  /** The log goes on at the room's position, not from what is here. */
  restart(room: Membership): void {
    const lostFrom = room.forkedAt === undefined ? undefined : room.forkedAt + 1;
    this.log.reset(room.position, { lostFrom, state: stateOf(room) });
  }

  seedUnread(unread: number, asOf: number): void {
    this.counter.seed(unread, asOf);
    this.unread = this.counter.count;
  }

  /** One log event that was taken in: count it, amend the room, and show it with the next batch. */
  took(event: LogEvent, me: string): void {
    if (isEvent(event, "message:new")) {
      const message: Message = event;
      this.hidden = false;
      if (message.by.id === me) this.request = false;
      if (message.by.id !== me && !message.deleted) this.counter.heard(event.offset);
    } else if (event.event === "message:deleted") {
      const target = this.log.findById(String(event["target"]));
      if (target) this.counter.forget(target.offset);
    } else if (event.event === "room:updated") {
      this.#become(this.log.state);
    }
    this.unread = this.counter.count;
    this.publish();
  }

  marked(offset: number, unread: number): void {
    this.counter.marked(offset, unread);
    this.unread = this.counter.count;
  }

  /** The entries from `from` on are gone. */
  cut(from: number): void {
    this.counter.cut(from);
    this.#become(this.log.state);
    this.unread = this.counter.count;
    this.publishNow();
  }

  placeMarker(me: string): void {
    this.marker = firstUnreadOffset(this.log.items, this.counter.count, me);
  }

  /** Replays come in hundreds: show them once, not each. */
  publish(): void {
    if (this.#publishing) return;
    this.#publishing = true;
    queueMicrotask(() => this.publishNow());
  }

  publishNow(): void {
    this.#publishing = false;
    // Older lines someone scrolled up for stay; what grows by itself is cut.
    if (!this.open) this.log.trim(KEEP_CLOSED);
    this.items = this.log.items.slice();
    this.complete = this.log.complete;
  }

  /** At the newest end of an open room: let go of what was scrolled through long ago. */
  trimOpen(): void {
    if (this.log.trim(KEEP_OPEN)) this.publishNow();
  }

  #become({ name, topic, archived }: RoomState): void {
    this.name = name;
    this.topic = topic;
    this.archived = archived;
  }
}

/** A node of an earlier version says nothing of archives. */
function stateOf({ name, topic, archived = false }: Membership): RoomState {
  return { name, topic, archived };
}
