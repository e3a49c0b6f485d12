import { CatchUp } from "./catch-up";
import { LOG_EVENTS, RequestError } from "./protocol";
import type { Answer, Events, GapEvent, LogEvent, Membership, Payload, Position, RequestName, Session, Trouble } from "./protocol";
import type { OpenSocket, IoSocket } from "./socket";

const ACK_TIMEOUT = 10_000;
/** A socket on standby that has a session takes over after this time, whatever it still has to bring. */
const CATCH_UP_TIMEOUT = 5000;
/** How long a socket that was replaced may still answer what was asked on it. */
const RETIRE_TIMEOUT = 5000;

export interface Credentials {
  name?: string;
  resume?: string;
  positions?: Record<string, Position>;
}

export type ConnectRefusal = "unauthenticated" | "forbidden" | "bad_request" | "revoked";

/** What is heard of a session, in the order in which the server sent it. */
export interface Heard {
  session(session: Session): void;
  log(event: LogEvent): void;
  gap(gap: GapEvent): void;
  roomAdded(room: Membership): void;
  invited(invitation: Events["room:invited"]): void;
  settings(settings: Events["room:settings"]): void;
  blocked(event: Events["user:blocked"]): void;
  typing(event: Events["typing"]): void;
  presence(event: Events["presence"]): void;
  readMarked(event: Events["read:marked"]): void;
  draining(reconnectAfterMs: number): void;
}

/** What becomes of the socket itself. */
export interface SocketEvents {
  /** Asked at each attempt. */
  credentials(): Credentials;
  /** What has been heard so far, by room. */
  positions(): Record<string, Position>;
  /** On standby: it has a session, and has brought all that is there already. */
  caughtUp(): void;
  lost(socket: SessionSocket): void;
  /** An attempt failed; `unavailable` is a server that answered, but can't take anyone, for a cause that it may tell. */
  failed(socket: SessionSocket, why: "unreachable" | "unavailable", cause?: Trouble): void;
  refused(socket: SessionSocket, code: ConnectRefusal, message: string): void;
}

/**
 * One socket and the session on it, always on its way back until it is closed. On standby it keeps what it hears, so that
 * two sockets are never heard at the same time.
 */
export class SessionSocket {
  session: Session | undefined;
  /** No attempt has succeeded since one failed. */
  failed = false;
  readonly #io: IoSocket;
  /** What was heard on standby. */
  #kept: (() => void)[] | undefined;
  #catchUp: CatchUp | undefined;
  #unanswered = 0;
  #retired = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    open: OpenSocket,
    private readonly heard: Heard,
    private readonly events: SocketEvents,
    how: { standby: boolean },
  ) {
    if (how.standby) this.#kept = [];
    // Every tab uses the newest token that any of them got: an older one is somebody else's.
    this.#io = open(() => withoutEmpty({ ...events.credentials(), client: "web", rotate: true }));
    this.#listen();
  }

  async request<N extends RequestName>(name: N, payload: Payload<N>): Promise<Answer<N>> {
    const socket = this.#io;
    // Socket.IO would keep it and send it before the session is known again; what is to be kept is in the outbox.
    if (!this.session || !socket.connected) throw new RequestError("disconnected", "not connected", true);
    let ack: { ok: boolean; error?: unknown } & Answer<N>;
    this.#unanswered++;
    try {
      ack = await socket.timeout(ACK_TIMEOUT).emitWithAck(name, payload);
    } catch {
      const late = socket.connected;
      // A connection may pass nothing without an end; the heartbeat sees that after a minute.
      if (late && !this.#retired) socket.restartIfSilent(ACK_TIMEOUT);
      throw new RequestError(late ? "timeout" : "disconnected", "no answer", true);
    } finally {
      this.#unanswered--;
      if (this.#retired && this.#unanswered === 0) this.close();
    }
    if (!ack.ok) throw RequestError.from(ack.error);
    return ack;
  }

  /** No longer on standby: what was kept is heard now, and the rest as it comes. */
  release(): void {
    clearTimeout(this.#timer);
    const kept = this.#kept ?? [];
    this.#kept = this.#catchUp = undefined;
    for (const act of kept) act();
  }

  /** Another socket has taken over: hear nothing more, but wait for the answers that are under way. */
  retire(): void {
    this.#io.off();
    this.#io.io.reconnection(false);
    if (this.#unanswered === 0 || !this.#io.connected) return this.close();
    this.#retired = true;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.close(), RETIRE_TIMEOUT);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#io.off();
    this.#io.disconnect();
  }

  #listen(): void {
    const socket = this.#io;
    const { heard, events } = this;
    socket.on("session", (session: Session) => this.#onSession(session));
    for (const event of LOG_EVENTS) {
      socket.on(event, (entry: LogEvent) => {
        this.#hear(() => heard.log({ ...entry, event }));
        this.#reached(entry.room, entry.offset);
      });
    }
    socket.on("gap", (gap: GapEvent) => {
      this.#hear(() => heard.gap(gap));
      this.#reached(gap.room, gap.to);
    });
    socket.on("room:added", (room: Membership) => this.#hear(() => heard.roomAdded(room)));
    socket.on("room:invited", (event) => this.#hear(() => heard.invited(event)));
    socket.on("room:settings", (event) => this.#hear(() => heard.settings(event)));
    socket.on("user:blocked", (event) => this.#hear(() => heard.blocked(event)));
    socket.on("typing", (event) => this.#hear(() => heard.typing(event)));
    socket.on("presence", (event) => this.#hear(() => heard.presence(event)));
    socket.on("read:marked", (event) => this.#hear(() => heard.readMarked(event)));
    socket.on("server:draining", (notice?: Partial<Events["server:draining"]>) => this.#hear(() => heard.draining(notice?.reconnectAfterMs ?? 0)));
    socket.on("session:revoked", (revoked?: Partial<Events["session:revoked"]>) => events.refused(this, "revoked", revoked?.reason ?? ""));
    socket.on("disconnect", (reason) => this.#onDisconnect(reason));
    socket.on("connect_error", (error) => this.#onConnectError(error));
  }

  #hear(act: () => void): void {
    if (this.#kept) this.#kept.push(act);
    else act();
  }

  #onSession(session: Session): void {
    this.session = session;
    this.failed = false;
    this.#hear(() => this.heard.session(session));
    if (!this.#kept) return;
    this.#catchUp = new CatchUp(session, this.events.positions());
    this.#timer = setTimeout(() => this.events.caughtUp(), CATCH_UP_TIMEOUT);
    if (this.#catchUp.done) this.events.caughtUp();
  }

  #reached(room: string, offset: number): void {
    this.#catchUp?.reached(room, offset);
    if (this.#catchUp?.done) this.events.caughtUp();
  }

  #onDisconnect(reason: string): void {
    clearTimeout(this.#timer);
    this.session = undefined;
    if (this.#kept) this.#kept = [];
    this.#catchUp = undefined;
    // Socket.IO takes a server's goodbye for final and stays away; here it is never meant so.
    if (reason === "io server disconnect") this.#timer = setTimeout(() => this.#io.connect(), 500 + Math.random() * 1000);
    this.events.lost(this);
  }

  #onConnectError(error: ConnectError): void {
    // `active` says that Socket.IO goes on trying; it stops only where the server answered with CONNECT_ERROR.
    if (!this.#io.active) {
      const code = error.message;
      const known = code === "unauthenticated" || code === "forbidden" || code === "bad_request";
      this.events.refused(this, known ? code : "bad_request", error.data?.message ?? "");
      return;
    }
    this.failed = true;
    if (error.description === 503) this.events.failed(this, "unavailable", causeOf(error));
    else this.events.failed(this, "unreachable");
  }
}

/** What Socket.IO says of an attempt that failed; `context` is the request, where a poll failed. */
type ConnectError = Error & { data?: { message?: string }; description?: unknown; context?: unknown };

/** The cause in the words of a server that can't take anyone: `unavailable (read_only): try again`. */
function causeOf(error: ConnectError): Trouble | undefined {
  const text = (error.context as { responseText?: unknown } | undefined)?.responseText;
  return typeof text === "string" ? (/^unavailable \((\w+)\)/.exec(text)?.[1] as Trouble | undefined) : undefined;
}

function withoutEmpty(credentials: object): object {
  return Object.fromEntries(
    Object.entries(credentials).filter(([, value]) => value !== undefined && !(typeof value === "object" && Object.keys(value).length === 0)),
  );
}
