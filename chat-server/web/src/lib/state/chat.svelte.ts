import { SvelteMap } from "svelte/reactivity";
import { Connection, type Refusal } from "../connection";
import { healGaps } from "../gap-healer";
import { newNonce, Outbox, type Pending } from "../outbox";
import type { Gap, HistoryPage, Limits, LogEvent, MyRoom, RequestError, SendAck, Session, Status, User } from "../protocol";
import { isUser, userId } from "../protocol";
import { Sender } from "../sender";
import { KEYS, lasting, ofThisTab } from "../storage";
import { wellFormed } from "../text";
import { Link } from "./link.svelte";
import { People } from "./people.svelte";
import { Room } from "./room.svelte";
import { Typing } from "./typing.svelte";
import { parseHash, roomHash, ui } from "./ui.svelte";

const PAGE = 50;
const MARK_DELAY = 250;
const COMPARE_DELAY = 1500;
export const LOBBY = "lobby";

/** The one conversation between this page and the server: takes in what the connection hears, and holds what is shown. */
export class Chat {
  me = $state.raw<User | undefined>();
  node = $state("");
  limits = $state.raw<Limits>({ maxMessageBytes: 0 });
  /** The name form is shown while nobody is signed in. */
  signedIn = $state(false);
  refusal = $state.raw<{ code: Refusal; message: string } | undefined>();
  rooms = new SvelteMap<string, Room>();
  current = $state.raw<Room | undefined>();
  pending = $state.raw<readonly Pending[]>([]);

  readonly link = new Link();
  readonly outbox = new Outbox(ofThisTab, () => (this.pending = this.outbox.entries));
  readonly #connection = new Connection({
    credentials: () => ({
      name: this.savedName,
      resume: lasting.get(KEYS.resume),
      positions: Object.fromEntries([...this.rooms].map(([id, room]) => [id, room.log.position])),
    }),
    session: (session) => this.#onSession(session),
    log: (event) => this.#onLog(event),
    gap: (gap) => this.#onGap(gap),
    roomAdded: (room) => this.adopt(room),
    typing: ({ room, user, on }) => {
      const id = userId(user);
      if (id === this.me?.id) return;
      this.typing.heard(room, id, isUser(user) ? user.name : (this.people.name(id) ?? "Someone"), on);
    },
    presence: ({ user, status }) => this.people.presence(userId(user), status as Status),
    readMarked: ({ room, offset, unread }) => this.rooms.get(room)?.marked(offset, unread),
    lost: ({ handover }) => {
      this.sender.stop();
      this.link.lost(handover);
    },
    failed: (why) => this.link.failed(why),
    refused: (code, message) => this.#onRefused(code, message),
  });
  readonly request = this.#connection.request;
  readonly people = new People(this.request);
  readonly typing = new Typing((room, on) => this.#connection.hint("typing:set", { room, on }));
  readonly sender = new Sender(this.outbox, this.request, {
    stored: (entry, ack) => this.#onStored(entry, ack),
    refused: (entry, error) => this.outbox.fail(entry.room, entry.nonce, sendProblem(error)),
    storing: (able) => (this.link.storing = able),
  });
  #markTimer: ReturnType<typeof setTimeout> | undefined;

  get savedName(): string {
    return lasting.get(KEYS.name) ?? "";
  }

  get unreadTotal(): number {
    let total = 0;
    for (const room of this.rooms.values()) total += room.unread;
    return total;
  }

  /** Someone was here before: go on as them, without asking. */
  start(): void {
    if (lasting.get(KEYS.resume)) this.#connect();
    // Signed out in another tab: the same user is gone here too.
    addEventListener("storage", (event) => {
      if (event.key === KEYS.resume && event.newValue === null && this.signedIn) this.signOut();
    });
  }

  signIn(name: string): void {
    lasting.set(KEYS.name, name.trim());
    this.#connect();
  }

  signOut(): void {
    this.#connection.close();
    this.sender.stop();
    this.outbox.clear();
    ofThisTab.remove(KEYS.drafts);
    lasting.remove(KEYS.resume);
    this.#forget();
    ui.go("#/", true);
  }

  openRoom(id: string): void {
    const room = this.rooms.get(id);
    if (!room || !this.me || this.current === room) return;
    this.leaveView();
    room.open = true;
    this.current = room;
    room.placeMarker(this.me.id);
    if (room.history === "none" || room.history === "failed") void this.loadHistory(room);
    this.#refreshMembers(room);
  }

  /** Nothing is open: the phone shows the list of rooms. */
  leaveView(): void {
    const room = this.current;
    if (!room) return;
    room.open = false;
    room.marker = undefined;
    room.publish();
    this.current = undefined;
  }

  async loadHistory(room: Room): Promise<void> {
    room.history = "loading";
    try {
      const page = await this.request<HistoryPage>("history:get", { room: room.id, limit: PAGE });
      this.#takeHistory(room, page);
      room.history = "loaded";
      if (this.me && room.open) room.placeMarker(this.me.id);
    } catch {
      room.history = "failed";
    }
  }

  async loadOlder(room: Room): Promise<void> {
    const first = room.items[0];
    if (room.loadingOlder || room.complete || !first || room.history !== "loaded") return;
    room.loadingOlder = true;
    try {
      const page = await this.request<HistoryPage>("history:get", { room: room.id, before: first.offset, limit: PAGE });
      this.#takeHistory(room, page);
    } catch {
      // The next scroll asks again.
    } finally {
      room.loadingOlder = false;
    }
  }

  send(room: Room, text: string): void {
    this.outbox.add({ room: room.id, nonce: newNonce(), text: wellFormed(text), at: Date.now() });
    this.typing.sent();
    room.marker = undefined;
    void this.sender.pump(room.id);
  }

  retry(entry: Pending): void {
    // Always under a new nonce where the old one may belong to another text or another user.
    const keep = entry.problem !== CONFLICT && !entry.problem?.startsWith("Your session");
    this.outbox.retry(entry.room, entry.nonce, keep ? entry.nonce : newNonce());
    void this.sender.pump(entry.room);
  }

  discard(entry: Pending): void {
    this.outbox.discard(entry.room, entry.nonce);
  }

  /** The newest message of the open room is on the screen of someone who looks at it. */
  seen(room: Room): void {
    if (room.unread === 0 || this.link.state !== "online") return;
    clearTimeout(this.#markTimer);
    this.#markTimer = setTimeout(async () => {
      const offset = room.log.position.offset;
      try {
        const { unread } = await this.request<{ unread: number }>("read:mark", { room: room.id, offset });
        room.marked(offset, unread);
      } catch {
        // Still unread; seen again at the next message or reconnect.
      }
    }, MARK_DELAY);
  }

  /** While we were away another tab may have read on, which no replay tells. Nearly always the two counts agree. */
  async #compareUnread(room: Room, counted: number): Promise<void> {
    if (room.unread === counted || room.log.missing.length || this.link.state !== "online") return;
    try {
      // A mark never moves back, so an old one only asks.
      const { unread } = await this.request<{ unread: number }>("read:mark", { room: room.id, offset: Math.max(1, room.counter.readTo) });
      room.seedUnread(unread, room.log.head);
    } catch {
      // The next session compares again.
    }
  }

  /** A room that became mine: through create, join, an invite, a DM, or another socket. */
  adopt(info: MyRoom): Room {
    let room = this.rooms.get(info.room);
    if (room) {
      room.describe(info);
      // Said twice (the ack and room:added), or left and joined again behind our back.
      if (room.log.epoch !== info.position.epoch || room.log.head < info.position.offset) {
        room.log.reset(info.position);
        this.#reread(room);
      }
      return room;
    }
    room = new Room(info);
    this.rooms.set(info.room, room);
    if (room.kind === "dm" && !room.name) void this.#nameDm(room);
    const route = parseHash(ui.hash);
    if (route.kind === "room" && route.room === room.id) this.openRoom(room.id);
    return room;
  }

  dropRoom(id: string): void {
    const room = this.rooms.get(id);
    if (!room) return;
    this.rooms.delete(id);
    this.people.lists.delete(id);
    this.outbox.discardRoom(id);
    if (this.current === room) {
      this.leaveView();
      ui.go(ui.narrow ? "#/" : roomHash(LOBBY), true);
    }
  }

  #connect(): void {
    this.refusal = undefined;
    this.signedIn = true;
    this.link.opening();
    this.#connection.open();
  }

  #onSession(session: Session): void {
    const before = this.me;
    if (before && before.id !== session.user.id) this.#forgetRooms();
    this.me = session.user;
    this.node = session.node;
    this.limits = session.limits ?? this.limits;
    if (session.resume) lasting.set(KEYS.resume, session.resume);
    lasting.set(KEYS.name, session.user.name);
    this.people.know(session.user);
    this.outbox.restore(session.user.id);

    const mine = new Set(session.rooms.map((info) => info.room));
    for (const id of [...this.rooms.keys()]) if (!mine.has(id)) this.dropRoom(id);
    const gone = new Set(session.unrecovered ?? []);
    for (const info of session.rooms) this.#meet(info, gone.has(info.room));

    this.link.established();
    this.sender.start();
    if (this.current) this.#refreshMembers(this.current);
  }

  /** A room of a new session: unknown, gone on from where we were, or to be read anew. */
  #meet(info: MyRoom, gone: boolean): void {
    const room = this.rooms.get(info.room);
    if (!room) {
      this.adopt(info);
      return;
    }
    room.describe(info);
    const { log } = room;
    const otherLife = info.position.epoch !== log.epoch;
    if (gone || (otherLife && info.position.offset !== log.position.offset)) {
      log.reset(info.position);
      room.seedUnread(info.unread, info.position.offset);
      this.#reread(room);
      return;
    }
    log.adopt(info.position.epoch);
    // The server's count already holds what is replayed now, so ours goes on instead, and is compared with it afterwards.
    setTimeout(() => void this.#compareUnread(room, info.unread), COMPARE_DELAY);
    if (room.history === "failed" && room.open) void this.loadHistory(room);
    void this.#heal(room);
  }

  #onLog(event: LogEvent): void {
    const room = this.rooms.get(event.room);
    if (!room || !this.me) return;
    const done = room.log.apply(event);
    if (done === "reload") {
      room.log.reset({ epoch: event.epoch, offset: event.offset });
      this.#reread(room);
      return;
    }
    if (event.event === "message:new") {
      const message = event as LogEvent & { nonce?: string };
      if (event.by?.id === this.me.id) this.outbox.settle(event.room, message.nonce);
      else if (event.by) this.typing.heard(event.room, event.by.id, event.by.name, false);
      this.people.know(event.by);
    }
    if (done !== "applied") return;
    const unreadBefore = room.unread;
    room.took(event, this.me.id);
    if (room.open && unreadBefore === 0 && room.unread > 0 && !ui.visible) room.marker = event.offset;
    if (event.event.startsWith("member:")) {
      this.people.took(event);
      if (event.event === "member:left" && userId(event["user"]) === this.me.id) this.dropRoom(room.id);
      if (event.event === "member:role" && userId(event["user"]) === this.me.id) room.describe({ role: event["role"] as Room["role"] } as MyRoom);
    }
    if (room.log.missing.length) void this.#heal(room);
  }

  #onGap(gap: Gap): void {
    const room = this.rooms.get(gap.room);
    if (!room) return;
    room.log.adopt(gap.epoch);
    room.log.openGap(gap.to);
    void this.#heal(room);
  }

  async #heal(room: Room): Promise<void> {
    if (room.healing || !room.log.missing.length) return;
    room.healing = true;
    try {
      const outcome = await healGaps(room.log, room.id, this.request, (event) => this.#onLog(event));
      if (outcome === "gone") {
        room.log.reset({ epoch: room.log.epoch, offset: room.log.head });
        this.#reread(room);
      }
    } catch (error) {
      // Without a connection the next session starts it again.
      const { temporary, retryAfterMs } = error as RequestError;
      if (temporary && this.link.state === "online") setTimeout(() => this.#heal(room), retryAfterMs ?? 1000);
    } finally {
      room.healing = false;
    }
  }

  /** The log was reset: what is shown comes from the history now. */
  #reread(room: Room): void {
    room.history = "none";
    room.publishNow();
    if (room.open) void this.loadHistory(room);
  }

  #takeHistory(room: Room, page: HistoryPage): void {
    room.log.addHistory(page.messages, page.complete);
    for (const message of page.messages) {
      this.people.know(message.by);
      if (message.by.id === this.me?.id) this.outbox.settle(room.id, message.nonce);
    }
    room.publishNow();
  }

  /** Acked: it has its place, even if the bus has not brought it yet. */
  #onStored(entry: Pending, ack: SendAck): void {
    const room = this.rooms.get(entry.room);
    if (!room || !this.me || ack.position.epoch !== room.log.epoch) return;
    const { offset, epoch } = ack.position;
    // Sent in an earlier life of this page: it stands in the history, maybe far above what is loaded.
    const first = room.log.items[0];
    if (offset <= room.log.head && first && offset < first.offset) return;
    room.log.addMessage({ room: entry.room, epoch, offset, id: ack.id, at: ack.at, by: this.me, text: entry.text, nonce: entry.nonce });
    room.publishNow();
  }

  #onRefused(code: Refusal, message: string): void {
    this.sender.stop();
    // A resume token that is refused would be refused again; the name stays in the form.
    lasting.remove(KEYS.resume);
    this.#forget();
    this.refusal = { code, message };
  }

  #refreshMembers(room: Room): void {
    void this.people.load(room.id);
  }

  async #nameDm(room: Room): Promise<void> {
    await this.people.load(room.id);
    const other = this.people.lists.get(room.id)?.members.find((member) => member.user.id !== this.me?.id);
    if (other) room.name = other.user.name;
  }

  #forget(): void {
    this.signedIn = false;
    this.me = undefined;
    this.#forgetRooms();
    this.link.closed();
  }

  #forgetRooms(): void {
    this.leaveView();
    this.rooms.clear();
    this.people.clear();
    this.typing.clear();
    clearTimeout(this.#markTimer);
  }
}

const CONFLICT = "Another text was sent under the same key.";

function sendProblem(error: RequestError): string {
  switch (error.code) {
    case "too_large":
      return "This message is too long for this server.";
    case "forbidden":
      return "You may not write here.";
    case "not_found":
      return "This room is no longer there.";
    case "conflict":
      return CONFLICT;
    default:
      return "The server refused this message.";
  }
}

export const chat = new Chat();
