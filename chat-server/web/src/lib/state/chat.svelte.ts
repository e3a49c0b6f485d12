import { SvelteMap } from "svelte/reactivity";
import { Connection, type Refusal } from "../connection";
import { healGaps } from "../gap-healer";
import { Outbox, newNonce, type Pending } from "../outbox";
import { RequestError, isUser, userId } from "../protocol";
import type { Gap, HistoryPage, Joined, Limits, LogEvent, Message, MyRoom, Position, SendAck, Session, Status, User } from "../protocol";
import { Sender } from "../sender";
import { KEYS, lasting, ofThisTab } from "../storage";
import { wellFormed } from "../text";
import { problemText, refusalText } from "../words";
import { People } from "./people.svelte";
import { Reading } from "./reading";
import { Room } from "./room.svelte";
import { Typing } from "./typing.svelte";
import { roomHash, ui } from "./ui.svelte";

const PAGE = 50;
const RETRY_MS = 2000;
const MAX_STRAYS = 2000;

/** Everything the page knows while it is connected, and what a person can do with it. */
export class Chat {
  /** `entering` is the first connection of a page; later ones leave what is shown where it is. */
  phase = $state<"name" | "entering" | "in">("name");
  /** Why the name is asked for again. */
  reason = $state("");
  me = $state.raw<User | undefined>();
  node = $state("");
  limits = $state.raw<Limits>({ maxMessageBytes: 4096 });
  link = $state<"online" | "offline" | "connecting">("offline");
  trouble = $state<"unreachable" | "unavailable" | "lost" | undefined>();
  storing = $state(true);
  readonly rooms = new SvelteMap<string, Room>();
  openId = $state<string | undefined>();
  pending = $state.raw<readonly Pending[]>([]);

  readonly connection = new Connection({
    credentials: () => ({ name: this.#name, resume: lasting.get(KEYS.resume), positions: this.#positions() }),
    session: (session) => this.#onSession(session),
    log: (event) => this.#onLog(event),
    gap: (gap) => this.#onGap(gap),
    roomAdded: (room) => this.#onAdded(room),
    typing: ({ room, user, on }) => this.#onTyping(room, user, on),
    presence: ({ user, status }) => this.people.presence(userId(user), status as Status),
    readMarked: ({ room, offset, unread }) => this.rooms.get(room)?.marked(offset, unread),
    lost: ({ handover }) => this.#onLost(handover),
    failed: (why) => this.#onFailed(why),
    refused: (code, message) => this.#onRefused(code, message),
  });
  readonly request = this.connection.request;
  readonly people = new People(this.request);
  readonly typing = new Typing((room, on) => this.connection.hint("typing:set", { room, on }));
  readonly reading = new Reading(this.request);
  readonly outbox = new Outbox(ofThisTab, () => this.#onOutbox());
  readonly #sender = new Sender(this.outbox, this.request, {
    stored: (entry, ack) => this.#onStored(entry, ack),
    refused: (entry, error) => this.outbox.fail(entry.room, entry.nonce, problemText(error)),
    storing: (able) => (this.storing = able),
  });
  #name: string | undefined;
  /** Events of rooms that are being entered or read anew: they come to belong somewhere when that is done. */
  #strays: LogEvent[] = [];
  #entering = 0;

  get open(): Room | undefined {
    return this.openId === undefined ? undefined : this.rooms.get(this.openId);
  }

  get unread(): number {
    let sum = 0;
    for (const room of this.rooms.values()) sum += room.unread;
    return sum;
  }

  /** Go on with the session that this browser has, if it has one. */
  start(): void {
    const name = lasting.get(KEYS.name);
    if (lasting.get(KEYS.resume)) this.enter(name);
  }

  enter(name: string | undefined): void {
    this.#name = name;
    this.reason = "";
    this.phase = "entering";
    this.link = "connecting";
    this.trouble = undefined;
    this.connection.open();
  }

  signOut(): void {
    this.connection.close();
    this.outbox.clear();
    lasting.remove(KEYS.resume);
    this.#leavePage("");
    ui.go("#/");
  }

  show(id: string | undefined): void {
    const before = this.open;
    if (before?.id === id) return;
    if (before) {
      this.typing.stopped(before.id);
      before.open = before.seen = false;
      before.marker = undefined;
      before.publish();
    }
    this.openId = id;
    const room = this.open;
    if (!room) return;
    room.open = true;
    room.placeMarker(this.me?.id ?? "");
    if (room.history === "none" || room.history === "failed") void this.loadHistory(room);
  }

  send(room: Room, text: string): void {
    room.marker = undefined;
    this.typing.sent();
    this.outbox.add({ room: room.id, nonce: newNonce(), text: wellFormed(text), at: Date.now() });
    void this.#sender.pump(room.id);
  }

  retry(entry: Pending): void {
    this.outbox.retry(entry.room, entry.nonce);
    void this.#sender.pump(entry.room);
  }

  /** The newest page of a room that has none yet. */
  async loadHistory(room: Room): Promise<void> {
    if (room.history === "loading") return;
    room.history = "loading";
    try {
      const page = await this.request<HistoryPage>("history:get", { room: room.id, limit: PAGE });
      if (page.epoch !== room.log.epoch) return void this.reload(room);
      this.#showHistory(room, page.messages, page.complete);
      room.history = "loaded";
      if (room.open) room.placeMarker(this.me?.id ?? "");
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
      const page = await this.request<HistoryPage>("history:get", { room: room.id, before: first.offset, limit: PAGE });
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
        const joined = await this.request<Joined>("room:join", { room: room.id, limit: PAGE });
        if (this.rooms.get(room.id) === room) this.#begin(room, joined);
        return room;
      });
    } catch (error) {
      room.reloading = false;
      if (this.rooms.get(room.id) !== room) return;
      const gone = error instanceof RequestError && !error.temporary;
      if (gone) this.#drop(room);
      else setTimeout(() => this.rooms.get(room.id) === room && this.link === "online" && void this.reload(room), RETRY_MS);
    }
  }

  /** Have a room that one has just become a member of; `join` is the request that says where it stands. */
  async take(event: "room:join" | "room:accept", payload: object): Promise<Room> {
    return this.#whileEntering(async () => {
      const joined = await this.request<Joined>(event, { limit: PAGE, ...payload });
      const known = this.rooms.get(joined.room);
      if (known) return known;
      const room = new Room({ ...joined, unread: 0 });
      this.rooms.set(room.id, room);
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
    for (const message of messages) {
      this.people.know(message.by);
      if (message.by.id === this.me?.id) this.outbox.settle(room.id, message.nonce);
    }
    room.publishNow();
  }

  #positions(): Record<string, Position> {
    return Object.fromEntries([...this.rooms.values()].map((room) => [room.id, room.log.position]));
  }

  #onSession(session: Session): void {
    const { user } = session;
    if (this.me && this.me.id !== user.id) this.#forgetRooms();
    this.me = user;
    this.people.know(user);
    this.node = session.node;
    if (session.limits) this.limits = session.limits;
    if (session.resume) lasting.set(KEYS.resume, session.resume);
    lasting.set(KEYS.name, user.name);
    this.outbox.restore(user.id);

    const unrecovered = session.recovered ? [] : (session.unrecovered ?? [...this.rooms.keys()]);
    for (const given of session.rooms) {
      const room = this.rooms.get(given.room);
      if (!room) this.rooms.set(given.room, new Room(given));
      else if (unrecovered.includes(given.room)) {
        room.describe(given);
        room.reset(given.position, given.unread);
      } else room.resume(given);
    }
    const mine = new Set(session.rooms.map((room) => room.room));
    for (const room of this.rooms.values()) if (!mine.has(room.id)) this.#drop(room);

    this.link = "online";
    this.trouble = undefined;
    this.storing = true;
    this.phase = "in";
    this.#sender.start();
    for (const room of this.rooms.values()) if (room.log.missing.length) void this.#heal(room);
    const { open } = this;
    if (open && (open.history === "none" || open.history === "failed")) void this.loadHistory(open);
    this.people.refresh();
  }

  #onLog(event: LogEvent): void {
    const room = this.rooms.get(event.room);
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
    const me = this.me?.id ?? "";
    this.people.know(event.by);
    room.took(event, me);
    if (event.event === "message:new") {
      const { by, nonce } = event as unknown as Message;
      if (by.id === me) this.outbox.settle(room.id, nonce);
      else this.typing.heard(room.id, by.id, by.name, false);
    } else if (event.event.startsWith("member:")) {
      this.people.took(event);
      if (event.event === "member:left" && userId(event["user"]) === me) return this.#left(room, String(event["reason"]));
    }
    if (room.log.missing.length) void this.#heal(room);
  }

  #left(room: Room, reason: string): void {
    this.#drop(room);
    if (reason !== "left") ui.say(`You were ${reason === "banned" ? "banned" : "removed"} from ${room.name}.`);
  }

  #onGap(gap: Gap): void {
    const room = this.rooms.get(gap.room);
    if (!room || room.reloading) return;
    if (gap.epoch !== room.log.epoch) return void this.reload(room);
    room.log.openGap(gap.to);
    void this.#heal(room);
  }

  async #heal(room: Room): Promise<void> {
    if (room.healing) return;
    room.healing = true;
    try {
      const end = await healGaps(room.log, room.id, this.request, (event) => this.#apply(room, event));
      if (end === "gone") void this.reload(room);
    } catch (error) {
      const temporary = error instanceof RequestError && error.temporary;
      if (!temporary) void this.reload(room);
      // A new session starts it again; on this one it is for us to do.
      else setTimeout(() => this.link === "online" && this.rooms.get(room.id) === room && void this.#heal(room), RETRY_MS);
    } finally {
      room.healing = false;
    }
  }

  #onAdded(added: MyRoom): void {
    const known = this.rooms.get(added.room);
    if (known) return known.describe(added);
    this.rooms.set(added.room, new Room(added));
    if (added.kind !== "dm") ui.say(`You are now in ${added.name}.`);
  }

  #onTyping(room: string, user: User | string, on: boolean): void {
    const id = userId(user);
    if (id === this.me?.id) return;
    this.typing.heard(room, id, isUser(user) ? user.name : (this.people.name(id) ?? "Someone"), on);
  }

  #onStored(entry: Pending, { id, position, at }: SendAck): void {
    const room = this.rooms.get(entry.room);
    const by = this.me;
    // Heard under the nonce already, or about to be heard: shown at once either way, and never twice.
    if (!room || !by || position.epoch !== room.log.epoch) return;
    room.log.addMessage({ room: room.id, ...position, id, at, by, text: entry.text, nonce: entry.nonce });
    room.publishNow();
  }

  #onOutbox(): void {
    this.pending = this.outbox.entries;
    if (!this.outbox.waitingRooms().length) this.storing = true;
  }

  #onLost(handover: boolean): void {
    this.link = "connecting";
    this.trouble = handover ? undefined : "lost";
    this.#sender.stop();
    this.typing.clear();
  }

  #onFailed(why: "unreachable" | "unavailable"): void {
    this.trouble = why;
    this.link = navigator.onLine ? "connecting" : "offline";
  }

  #onRefused(code: Refusal, message: string): void {
    lasting.remove(KEYS.resume);
    this.#leavePage(refusalText(code, message));
  }

  #leavePage(reason: string): void {
    this.#sender.stop();
    this.#forgetRooms();
    this.me = undefined;
    this.node = "";
    this.link = "offline";
    this.trouble = undefined;
    this.reason = reason;
    this.phase = "name";
    ui.dialog = undefined;
    ui.drawer = false;
  }

  #forgetRooms(): void {
    this.openId = undefined;
    this.rooms.clear();
    this.people.clear();
    this.typing.clear();
  }

  #drop(room: Room): void {
    this.rooms.delete(room.id);
    this.people.lists.delete(room.id);
    if (this.openId !== room.id) return;
    this.openId = undefined;
    ui.go(ui.narrow ? "#/" : roomHash("lobby"), true);
  }
}

export const chat = new Chat();
