import { healGaps } from "../gap-healer";
import { isEvent, type Answer, type GapEvent, type LogEvent, type Message, type Request, type RequestError } from "../protocol";
import type { Room } from "./room.svelte";

const PAGE = 50;
const RETRY_MS = 1000;

export interface LogSyncEvents {
  online(): boolean;
  /** An entry was taken into the room. */
  took(room: Room, event: LogEvent): void;
  /** The store lost what was held of a room from `from` on. */
  dropped(room: Room, from: number): void;
  /** These were held and are not known to be in the log any more. */
  lost(room: Room, messages: readonly Message[]): void;
  /** A message was heard or read, perhaps not for the first time. */
  met(room: Room, message: Message): void;
  /** History that someone looks at was loaded. */
  loaded(room: Room): void;
}

/** Keeps the logs of rooms whole: takes entries in, pages what is missing, and reads anew what can't be continued. */
export class LogSync {
  constructor(
    private readonly request: Request,
    private readonly events: LogSyncEvents,
  ) {}

  take(room: Room, event: LogEvent): void {
    const done = room.log.apply(event);
    if (done === "reload") {
      room.log.reset({ epoch: event.epoch, offset: event.offset }, { lostFrom: event.offset });
      this.tellLost(room);
      this.reread(room);
      return;
    }
    this.tellLost(room);
    if (isEvent(event, "message:new")) this.events.met(room, event);
    if (done !== "applied") return;
    this.events.took(room, event);
    if (room.log.missing.length) void this.heal(room);
  }

  gap(room: Room, gap: GapEvent): void {
    if (room.log.openGap(gap)) this.events.dropped(room, gap.from);
    this.tellLost(room);
    void this.heal(room);
  }

  tellLost(room: Room): void {
    const lost = room.log.takeLost();
    if (lost.length) this.events.lost(room, lost);
  }

  async heal(room: Room): Promise<void> {
    if (room.healing || !room.log.missing.length) return;
    room.healing = true;
    try {
      const outcome = await healGaps(room.log, room.id, this.request, (event) => this.take(room, event));
      if (outcome === "gone") {
        room.log.reset({ epoch: room.log.epoch, offset: room.log.head });
        this.reread(room);
      }
    } catch (error) {
      // Without a connection the next session starts it again.
      const { temporary, retryAfterMs } = error as RequestError;
      if (temporary && this.events.online()) setTimeout(() => this.heal(room), retryAfterMs ?? RETRY_MS);
    } finally {
      room.healing = false;
    }
  }

  /** The log was reset: what is shown comes from the history now. */
  reread(room: Room): void {
    room.history = "none";
    room.publishNow();
    if (room.open) void this.loadHistory(room);
  }

  async loadHistory(room: Room): Promise<void> {
    room.history = "loading";
    try {
      let page: Answer<"history:get">;
      let revision: number;
      do {
        revision = room.log.revision;
        page = await this.request("history:get", { room: room.id, limit: PAGE });
      } while (room.log.revision !== revision);
      this.#takeHistory(room, page);
      room.history = "loaded";
      if (room.open) this.events.loaded(room);
    } catch {
      room.history = "failed";
    }
  }

  async loadOlder(room: Room): Promise<void> {
    const first = room.items[0];
    if (room.loadingOlder || room.complete || !first || room.history !== "loaded") return;
    room.loadingOlder = true;
    const { revision } = room.log;
    try {
      const page = await this.request("history:get", { room: room.id, before: first.offset, limit: PAGE });
      if (room.log.revision === revision) this.#takeHistory(room, page);
    } catch {
      // The next scroll asks again.
    } finally {
      room.loadingOlder = false;
    }
  }

  #takeHistory(room: Room, page: Answer<"history:get">): void {
    room.log.addHistory(page.messages, page.complete);
    for (const message of page.messages) this.events.met(room, message);
    room.publishNow();
  }
}
