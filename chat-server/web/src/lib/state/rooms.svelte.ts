import { SvelteMap } from "svelte/reactivity";
import { healGaps } from "../gap-healer";
import { RequestError, userId } from "../protocol";
import type { Gap, HistoryPage, Joined, LogEvent, Message, MyRoom, Position, Request } from "../protocol";
import { Room } from "./room.svelte";

const PAGE = 50;
const RETRY_MS = 2000;
const MAX_STRAYS = 2000;

/** What the rooms need to know, and what they tell. */
export interface Surroundings {
  request: Request;
  me(): string;
  online(): boolean;
  /** An entry was taken into a room. */
  took(room: Room, event: LogEvent): void;
  /** Messages were read from a room's history. */
  read(room: Room, messages: readonly Message[]): void;
  /** I am no longer in it; `reason` is set where somebody else's doing ended that. */
  dropped(room: Room, wasOpen: boolean, reason?: "kicked" | "banned"): void;
}

/**
 * My rooms, each with as much of its log as the page has. Whatever happens on the way, an entry is either shown once or
 * asked for again: a hole is paged, and a room whose range is gone is read anew.
 */
export class Rooms {
  readonly all = new SvelteMap<string, Room>();
  openId = $state<string | undefined>();
  /** Events of rooms that are being entered or read anew: they come to belong somewhere when that is done. */
  #strays: LogEvent[] = [];
  #entering = 0;

  constructor(private readonly around: Surroundings) {}

  get open(): Room | undefined {
    return this.openId === undefined ? undefined : this.all.get(this.openId);
  }

  get unread(): number {
    let sum = 0;
    for (const room of this.all.values()) sum += room.unread;
    return sum;
  }

  positions(): Record<string, Position> {
    return Object.fromEntries([...this.all.values()].map((room) => [room.id, room.log.position]));
  }

  /** A connection begins: these are my rooms, and of `unrecovered` the missed part is gone. */
  begin(given: readonly MyRoom[], unrecovered: readonly string[]): void {
    for (const info of given) {
      const room = this.all.get(info.room);
      if (!room) this.all.set(info.room, new Room(info));
      else if (unrecovered.includes(info.room)) {
        room.describe(info);
        room.reset(info.position, info.unread);
      } else room.resume(info);
    }
    const mine = new Set(given.map((info) => info.room));
    for (const room of this.all.values()) {
      if (!mine.has(room.id)) this.#drop(room);
      else if (room.log.missing.length) void this.#heal(room);
    }
    const { open } = this;
    if (open && (open.history === "none" || open.history === "failed")) void this.loadHistory(open);
  }

  added(info: MyRoom): boolean {
    const known = this.all.get(info.room);
    if (known) known.describe(info);
    else this.all.set(info.room, new Room(info));
    return !known;
  }

  show(id: string | undefined): void {
    const before = this.open;
    if (before?.id === id) return;
    if (before) {
      before.open = before.seen = false;
      before.marker = undefined;
      before.publish();
    }
    this.openId = id;
    const room = this.open;
    if (!room) return;
    room.open = true;
    room.placeMarker(this.around.me());
    if (room.history === "none" || room.history === "failed") void this.loadHistory(room);
  }

  /** The newest page of a room that has none yet. */
  async loadHistory(room: Room): Promise<void> {
    if (room.history === "loading") return;
    room.history = "loading";
    try {
      const page = await this.around.request<HistoryPage>("history:get", { room: room.id, limit: PAGE });
      if (page.epoch !== room.log.epoch) return void this.reload(room);
      this.#showHistory(room, page.messages, page.complete);
      room.history = "loaded";
      if (room.open) room.placeMarker(this.around.me());
    } catch {
      room.history = "failed";
    }
  }

  /** The page before what is shown. */
  async loadOlder(room: Room): Promise<void> {
    const first = room.log.items[0];
    if (!first || room.complete || room.loadingOlder || room.history !== "loaded") return;
    room.loadingOlder = true;
    try {
      const page = await this.around.request<HistoryPage>("history:get", { room: room.id, before: first.offset, limit: PAGE });
      if (page.epoch === room.log.epoch) this.#showHistory(room, page.messages, page.complete);
    } catch {
      // Scrolling asks again.
    } finally {
      room.loadingOlder = false;
    }
  }

  /** Read a room anew from its present position: its old range is gone, or it lives in another epoch. */
  async reload(room: Room): Promise<void> {
    if (room.reloading) return;
    room.reloading = true;
    try {
      await this.#whileEntering(async () => {
        const joined = await this.around.request<Joined>("room:join", { room: room.id, limit: PAGE });
        if (this.all.get(room.id) === room) this.#begin(room, joined);
        return room;
      });
    } catch (error) {
      room.reloading = false;
      if (this.all.get(room.id) !== room) return;
      const gone = error instanceof RequestError && !error.temporary;
      if (gone) this.#drop(room);
      else setTimeout(() => this.all.get(room.id) === room && this.around.online() && void this.reload(room), RETRY_MS);
    }
  }

  /** Have a room that one has just become a member of; `join` is the request that says where it stands. */
  async take(event: "room:join" | "room:accept", payload: object): Promise<Room> {
    return this.#whileEntering(async () => {
      const joined = await this.around.request<Joined>(event, { limit: PAGE, ...payload });
      const known = this.all.get(joined.room);
      if (known) return known;
      const room = new Room({ ...joined, unread: 0 });
      this.all.set(room.id, room);
      this.#begin(room, joined);
      return room;
    });
  }

  /** Events of rooms not yet known are kept while `act` finds out, and then belong to the room it gives. */
  async #whileEntering(act: () => Promise<Room>): Promise<Room> {
    this.#entering++;
    try {
      const room = await act();
      const mine = this.#strays.filter((event) => event.room === room.id);
      this.#strays = this.#strays.filter((event) => event.room !== room.id);
      room.reloading = false;
      for (const event of mine) this.#apply(room, event);
      return room;
    } finally {
      if (--this.#entering === 0) this.#strays = [];
    }
  }

  #begin(room: Room, joined: Joined): void {
    room.describe(joined);
    room.reset(joined.position);
    this.#showHistory(room, joined.messages, joined.messages.length < PAGE);
    room.history = "loaded";
  }

  #showHistory(room: Room, messages: readonly Message[], complete: boolean): void {
    room.log.addHistory(messages, complete);
    this.around.read(room, messages);
    room.publishNow();
  }

  log(event: LogEvent): void {
    const room = this.all.get(event.room);
    if (room && !room.reloading) this.#apply(room, event);
    else if (this.#entering && this.#strays.length < MAX_STRAYS) this.#strays.push(event);
  }

  #apply(room: Room, event: LogEvent): void {
    const did = room.log.apply(event);
    if (did === "reload") {
      void this.reload(room);
      if (this.#strays.length < MAX_STRAYS) this.#strays.push(event);
    }
    if (did !== "applied") return;
    room.took(event, this.around.me());
    this.around.took(room, event);
    if (event.event === "member:left" && userId(event["user"]) === this.around.me()) {
      const { reason } = event as { reason?: unknown };
      return this.#drop(room, reason === "kicked" || reason === "banned" ? reason : undefined);
    }
    if (room.log.missing.length) void this.#heal(room);
  }

  gap(gap: Gap): void {
    const room = this.all.get(gap.room);
    if (!room || room.reloading) return;
    if (gap.epoch !== room.log.epoch) return void this.reload(room);
    room.log.openGap(gap.to);
    void this.#heal(room);
  }

  async #heal(room: Room): Promise<void> {
    if (room.healing) return;
    room.healing = true;
    try {
      const end = await healGaps(room.log, room.id, this.around.request, (event) => this.#apply(room, event));
      if (end === "gone") void this.reload(room);
    } catch (error) {
      const temporary = error instanceof RequestError && error.temporary;
      if (!temporary) void this.reload(room);
      // A new session starts it again; on this one it is for us to do.
      else setTimeout(() => this.around.online() && this.all.get(room.id) === room && void this.#heal(room), RETRY_MS);
    } finally {
      room.healing = false;
    }
  }

  forget(): void {
    this.openId = undefined;
    this.all.clear();
  }

  #drop(room: Room, reason?: "kicked" | "banned"): void {
    const wasOpen = this.openId === room.id;
    this.all.delete(room.id);
    if (wasOpen) this.openId = undefined;
    this.around.dropped(room, wasOpen, reason);
  }
}
