import { io, type Socket } from "socket.io-client";
import { LOG_EVENTS, RequestError, type Gap, type LogEvent, type MyRoom, type Position, type Request, type Session, type User } from "./protocol";

const ACK_TIMEOUT = 10_000;

export interface Credentials {
  name?: string;
  resume?: string;
  positions?: Record<string, Position>;
}

export type Refusal = "unauthenticated" | "forbidden" | "bad_request" | "revoked";

/** What the connection tells the rest of the page. It knows nothing of rooms, and the rest knows nothing of sockets. */
export interface ConnectionEvents {
  credentials(): Credentials;
  session(session: Session): void;
  log(event: LogEvent): void;
  gap(gap: Gap): void;
  roomAdded(room: MyRoom): void;
  typing(event: { room: string; user: User | string; on: boolean }): void;
  presence(event: { user: User | string; status: string }): void;
  readMarked(event: { room: string; offset: number; unread: number }): void;
  lost(how: { handover: boolean }): void;
  /** An attempt failed; `unavailable` is a server that answered, but can't take anyone. */
  failed(why: "unreachable" | "unavailable"): void;
  refused(code: Refusal, message: string): void;
}

/**
 * One session's connection. It is always on its way back: only a refusal that will not pass, or `close()`, ends it. During
 * a drain the next socket is opened before the old one is let go, so that nothing is missed in between.
 */
export class Connection {
  #current: Socket | undefined;
  /** Opened beside `#current` while a node hands us over. */
  #next: Socket | undefined;
  #ready = false;
  #closed = false;
  #draining = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly events: ConnectionEvents) {}

  open(): void {
    this.#closed = false;
    this.#current = this.#connect();
  }

  close(): void {
    this.#closed = true;
    this.#ready = false;
    clearTimeout(this.#timer);
    for (const socket of [this.#current, this.#next]) {
      socket?.off();
      socket?.disconnect();
    }
    this.#current = this.#next = undefined;
  }

  request: Request = async <T>(event: string, payload: object = {}): Promise<T> => {
    const socket = this.#current;
    // Socket.IO would keep it and send it before the session is known again; what is to be kept is in the outbox.
    if (!socket?.connected || !this.#ready) throw new RequestError("disconnected", "not connected", true);
    let ack: { ok: boolean; error?: unknown } & T;
    try {
      ack = await socket.timeout(ACK_TIMEOUT).emitWithAck(event, payload);
    } catch {
      const code = socket.connected ? "timeout" : "disconnected";
      throw new RequestError(code, "no answer", true);
    }
    if (!ack.ok) throw RequestError.from(ack.error);
    return ack;
  };

  /** For what may be lost, like "is typing". */
  hint(event: string, payload: object): void {
    this.request(event, payload).catch(() => {});
  }

  #connect(): Socket {
    const socket = io({
      forceNew: true,
      // A WebSocket stays with its node by itself; polling is there for networks that allow nothing else.
      transports: ["websocket", "polling"],
      tryAllTransports: true,
      reconnectionDelay: 500,
      reconnectionDelayMax: 5000,
      auth: (give) => give(withoutEmpty({ ...this.events.credentials(), client: "web" })),
    });
    this.#listen(socket);
    return socket;
  }

  #listen(socket: Socket): void {
    const { events } = this;
    socket.on("session", (session: Session) => this.#onSession(socket, session));
    for (const event of LOG_EVENTS) socket.on(event, (entry: object) => events.log({ ...entry, event } as LogEvent));
    socket.on("gap", (gap: Gap) => events.gap(gap));
    socket.on("room:added", (room: MyRoom) => events.roomAdded(room));
    socket.on("typing", (event) => events.typing(event));
    socket.on("presence", (event) => events.presence(event));
    socket.on("read:marked", (event) => events.readMarked(event));
    socket.on("server:draining", (notice?: { reconnectAfterMs?: number }) => this.#onDraining(socket, notice?.reconnectAfterMs ?? 0));
    socket.on("session:revoked", () => this.#refuse("revoked", "This session was ended from another place."));

    socket.on("disconnect", (reason) => {
      if (this.#closed) return;
      if (socket === this.#current) {
        this.#ready = false;
        events.lost({ handover: this.#draining });
        if (this.#draining) this.#handOver();
      }
      // Socket.IO takes a server's goodbye for final and stays away; here it is never meant so.
      const ours = socket === this.#current || socket === this.#next;
      if (ours && reason === "io server disconnect") this.#later(() => socket.connect(), 500 + Math.random() * 1000);
    });

    socket.on("connect_error", (error) => {
      if (this.#closed) return;
      // `active` says that Socket.IO goes on trying; it stops only where the server answered with CONNECT_ERROR.
      if (!socket.active) {
        const code = error.message;
        const known = code === "unauthenticated" || code === "forbidden" || code === "bad_request";
        const detail = (error as Error & { data?: { message?: string } }).data?.message;
        this.#refuse(known ? code : "bad_request", detail ?? "");
        return;
      }
      if (socket === this.#current || !this.#ready) {
        const status = (error as Error & { description?: unknown }).description;
        events.failed(status === 503 ? "unavailable" : "unreachable");
      }
    });
  }

  #onSession(socket: Socket, session: Session): void {
    if (socket === this.#next) this.#promote();
    this.#ready = true;
    this.events.session(session);
  }

  #onDraining(socket: Socket, after: number): void {
    if (socket !== this.#current || this.#draining) return;
    this.#draining = true;
    this.#later(() => this.#handOver(), after);
  }

  #handOver(): void {
    if (this.#closed || !this.#draining) return;
    clearTimeout(this.#timer);
    this.#next ??= this.#connect();
    // The old node is gone before the new connection stands. Its socket would come back by itself, beside the new one.
    if (!this.#current?.connected) this.#promote();
  }

  #promote(): void {
    const old = this.#current;
    this.#current = this.#next;
    this.#next = undefined;
    this.#draining = false;
    old?.off();
    old?.disconnect();
  }

  #refuse(code: Refusal, message: string): void {
    this.close();
    this.events.refused(code, message);
  }

  #later(act: () => void, ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (!this.#closed) act();
    }, ms);
  }
}

function withoutEmpty(credentials: object): object {
  return Object.fromEntries(
    Object.entries(credentials).filter(([, value]) => value !== undefined && !(typeof value === "object" && Object.keys(value).length === 0)),
  );
}
