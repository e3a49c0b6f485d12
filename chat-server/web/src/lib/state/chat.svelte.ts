import { SvelteMap } from "svelte/reactivity";
import { Connection } from "../connection";
import type { ConnectRefusal, Credentials } from "../session-socket";
import { newNonce, Outbox, type Pending } from "../outbox";
import type { Answer, LogEvent, Membership, Message, Position, Role, Session, SessionLimits, User } from "../protocol";
import { isUser, userId } from "../protocol";
import { Sender } from "../sender";
import { KEYS, lasting, ofThisTab } from "../storage";
import { CONFLICT, sendProblem } from "../send-problem";
import { EarlyEvents } from "../early-events";
import { wellFormed } from "../text";
import { LogSync } from "./log-sync";
import { Consent } from "./consent.svelte";
import { ConnectionState } from "./connection-state.svelte";
import { People } from "./people.svelte";
import { Reading } from "./reading";
import { Room } from "./room.svelte";
import { Typing } from "./typing.svelte";
import { parseHash, roomHash, ui } from "./ui.svelte";

const COMPARE_DELAY = 1500;
export const LOBBY = "lobby";

/** The one conversation between this page and the server: takes in what the connection hears, and holds what is shown. */
export class Chat {
  me = $state.raw<User | undefined>();
  node = $state("");
  limits = $state.raw<Pick<SessionLimits, "maxMessageBytes">>({ maxMessageBytes: 0 });
  /** The name form is shown while nobody is signed in. */
  signedIn = $state(false);
  refusal = $state.raw<{ code: ConnectRefusal; message: string } | undefined>();
  rooms = new SvelteMap<string, Room>();
  current = $state.raw<Room | undefined>();
  pending = $state.raw<readonly Pending[]>([]);

  readonly connectionState = new ConnectionState();
  readonly outbox = new Outbox(ofThisTab, () => (this.pending = this.outbox.entries));
  readonly #connection = new Connection({
    credentials: () => this.#credentials(),
    positions: () => this.#positions(),
    session: (session) => this.#onSession(session),
    log: (event) => this.#onLog(event),
    gap: (gap) => {
      const room = this.rooms.get(gap.room);
      if (room) this.logSync.gap(room, gap);
    },
    roomAdded: (room) => this.adopt(room),
    invited: (invitation) => this.consent.heard(invitation),
    settings: ({ room, request, hidden }) => this.rooms.get(room)?.set({ request, hidden }),
    blocked: ({ user, on }) => this.consent.marked(user, on),
    typing: ({ room, user, on }) => {
      const id = userId(user);
      if (id === this.me?.id) return;
      this.typing.heard(room, id, isUser(user) ? this.people.label(user) : (this.people.name(id) ?? "Someone"), on);
    },
    presence: ({ user, status }) => this.people.presence(userId(user), status),
    readMarked: ({ room, offset, unread }) => this.rooms.get(room)?.marked(offset, unread),
    lost: ({ handover }) => {
      this.sender.stop();
      this.connectionState.lost(handover);
    },
    failed: (why, cause) => this.connectionState.failed(why, cause),
    refused: (code, message) => this.#onRefused(code, message),
  });
  readonly request = this.#connection.request;
  readonly people = new People(this.request);
  readonly consent = new Consent(this.request);
  readonly typing = new Typing((room, on) => this.#connection.hint("typing:set", { room, on }));
  readonly sender = new Sender(this.outbox, this.request, {
    stored: (entry, ack) => this.#onStored(entry, ack),
    refused: (entry, error) => this.outbox.fail(entry.room, entry.nonce, sendProblem(error, this.rooms.get(entry.room)?.archived)),
    storing: (able, why) => this.connectionState.stores(able, why),
  });
  readonly reading = new Reading(this.request, () => this.connectionState.state === "online");
  readonly logSync = new LogSync(this.request, {
    online: () => this.connectionState.state === "online",
    took: (room, event) => this.#onTook(room, event),
    dropped: (room, from) => this.#onDropped(room, from),
    lost: (room, messages) => {
      this.outbox.addLost(messages);
      void this.sender.pump(room.id);
    },
    met: (room, message) => this.#onMet(room, message),
    loaded: (room) => this.me && room.placeMarker(this.me.id),
  });
  readonly #earlyEvents = new EarlyEvents();
  /** The rooms that the newest session was asked to go on with. */
  #given: string[] = [];
  /** The session's id, and the token that was used or given last: another tab may have begun another session since. */
  #session: string | undefined;
  #resume: string | undefined;

  get savedName(): string {
    return lasting.get(KEYS.name) ?? "";
  }

  get unreadTotal(): number {
    let total = 0;
    // Who is not known does not call for attention.
    for (const room of this.rooms.values()) if (!room.request) total += room.unread;
    return total;
  }

  /** Someone was here before: go on as them, without asking. */
  start(): void {
    if (lasting.get(KEYS.resume)) this.#connect();
    // Signed out in another tab: the same user is gone here too.
    addEventListener("storage", (event) => {
      if (event.key === KEYS.resume && event.newValue === null && this.signedIn) this.#leave();
    });
  }

  signIn(name: string): void {
    lasting.set(KEYS.name, name.trim());
    this.#connect();
  }

  /** Ends the session for all its tabs and devices; without a connection, only this browser forgets it. */
  signOut(): void {
    if (this.#session) this.#connection.hint("session:revoke", { session: this.#session });
    this.#leave();
  }

  #leave(): void {
    this.#connection.leave();
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
    if (room.history === "none" || room.history === "failed") void this.logSync.loadHistory(room);
    void this.people.load(room.id);
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

  /** A room that became mine: through create, join, an invite, a DM, or another socket. */
  adopt(info: Membership): Room {
    this.consent.invited.delete(info.room);
    let room = this.rooms.get(info.room);
    if (room) {
      room.describe(info);
      // Said twice (the ack and room:added), or left and joined again behind our back.
      if (room.log.epoch !== info.position.epoch || room.log.head < info.position.offset) {
        room.restart(info);
        this.logSync.reread(room);
      }
      return room;
    }
    room = new Room(info);
    this.rooms.set(info.room, room);
    const route = parseHash(ui.hash);
    if (route.kind === "room" && route.room === room.id) this.openRoom(room.id);
    return room;
  }

  entering<T>(act: () => Promise<T>): Promise<T> {
    return this.#earlyEvents.during(act, (event) => this.#onLog(event));
  }

  dropRoom(id: string): void {
    const room = this.rooms.get(id);
    if (!room) return;
    this.rooms.delete(id);
    this.people.lists.delete(id);
    this.outbox.discardRoom(id);
    this.reading.forget(room);
    if (this.current === room) {
      this.leaveView();
      ui.go(ui.narrow ? "#/" : roomHash(LOBBY), true);
    }
  }

  #connect(): void {
    this.refusal = undefined;
    this.signedIn = true;
    this.connectionState.opening();
    this.#connection.open();
  }

  #credentials(): Credentials {
    this.#given = [...this.rooms.keys()];
    this.#resume = lasting.get(KEYS.resume);
    return { name: this.savedName, resume: this.#resume, positions: this.#positions() };
  }

  #positions(): Record<string, Position> {
    return Object.fromEntries([...this.rooms].map(([id, room]) => [id, room.log.position]));
  }

  #onSession(session: Session): void {
    const before = this.me;
    if (before && before.id !== session.user.id) this.#forgetRooms();
    this.me = session.user;
    this.node = session.node;
    this.limits = session.limits;
    this.#session = session.session;
    this.#resume = session.resume;
    lasting.set(KEYS.resume, session.resume);
    lasting.set(KEYS.name, session.user.name);
    this.people.know(session.user);
    this.consent.begin(session);
    this.outbox.restore(session.user.id);

    const mine = new Set(session.rooms.map((info) => info.room));
    // A room that was entered since, on the socket that was there still, is not in the session.
    for (const id of this.#given) if (!mine.has(id)) this.dropRoom(id);
    const gone = new Set(session.unrecovered);
    for (const info of session.rooms) this.#meet(info, gone.has(info.room));

    this.connectionState.established();
    this.sender.start();
    this.reading.tell();
    if (this.current) void this.people.load(this.current.id);
  }

  /** A room of a new session: unknown, gone on from where we were, or to be read anew. */
  #meet(info: Membership, gone: boolean): void {
    const room = this.rooms.get(info.room);
    if (!room) {
      this.adopt(info);
      return;
    }
    room.describe(info);
    if (gone) {
      room.restart(info);
      this.logSync.tellLost(room);
      room.seedUnread(info.unread, info.position.offset);
      this.logSync.reread(room);
      return;
    }
    if (room.log.resume(info.position)) this.#onDropped(room, info.position.offset + 1);
    this.logSync.tellLost(room);
    // The server's count already holds what is replayed now, so ours goes on instead, and is compared with it afterwards.
    setTimeout(() => void this.reading.compare(room, info.unread), COMPARE_DELAY);
    if (room.history === "failed" && room.open) void this.logSync.loadHistory(room);
    void this.logSync.heal(room);
  }

  #onLog(event: LogEvent): void {
    const room = this.rooms.get(event.room);
    if (room && this.me) this.logSync.take(room, event);
    else this.#earlyEvents.heard(event);
  }

  #onTook(room: Room, event: LogEvent): void {
    const me = this.me?.id ?? "";
    const unreadBefore = room.unread;
    room.took(event, me);
    if (event.event === "message:new" && event.by && event.by.id !== me) this.typing.heard(room.id, event.by.id, event.by.name, false);
    if (room.open && unreadBefore === 0 && room.unread > 0 && !ui.visible) room.marker = event.offset;
    if (!event.event.startsWith("member:")) return;
    this.people.took(event);
    if (userId(event["user"]) !== me) return;
    if (event.event === "member:left") {
      const { reason } = event;
      this.dropRoom(room.id);
      if (reason === "kicked" || reason === "banned") ui.say(`You were ${reason === "kicked" ? "removed" : "banned"} from ${room.name}.`);
    } else if (event.event === "member:role") room.role = event["role"] as Role;
  }

  /** What the store lost is not shown on; what stands in its place is on its way. */
  #onDropped(room: Room, from: number): void {
    room.cut(from);
    this.reading.forget(room);
    if (room.log.items.length === 0) this.logSync.reread(room);
    setTimeout(() => void this.reading.compare(room), COMPARE_DELAY);
  }

  #onMet(room: Room, message: Message): void {
    this.people.know(message.by);
    if (message.by?.id === this.me?.id) this.outbox.settle(room.id, message.nonce);
  }

  /** Acked: it has its place, even if the bus has not brought it yet. */
  #onStored(entry: Pending, ack: Answer<"message:send">): void {
    const room = this.rooms.get(entry.room);
    if (!room || !this.me) return;
    const { offset, epoch } = ack.position;
    // From before the store was restarted: whether it is still there, the log tells.
    if (epoch !== room.log.epoch && offset <= room.log.head) return;
    // Sent in an earlier life of this page: it stands in the history, maybe far above what is loaded.
    const first = room.log.items[0];
    if (offset <= room.log.head && first && offset < first.offset) return;
    room.log.addMessage({ room: entry.room, epoch, offset, id: ack.id, at: ack.at, by: this.me, text: entry.text, nonce: entry.nonce, reactions: [] });
    room.publishNow();
  }

  #onRefused(code: ConnectRefusal, message: string): void {
    this.sender.stop();
    // A resume token that is refused would be refused again; the name stays in the form.
    if (lasting.get(KEYS.resume) === this.#resume) lasting.remove(KEYS.resume);
    this.#forget();
    this.refusal = { code, message };
  }

  #forget(): void {
    this.signedIn = false;
    this.me = undefined;
    this.#session = undefined;
    this.#forgetRooms();
    this.connectionState.closed();
  }

  #forgetRooms(): void {
    this.leaveView();
    this.rooms.clear();
    this.people.clear();
    this.consent.clear();
    this.typing.clear();
    this.reading.forget();
  }
}

export const chat = new Chat();
