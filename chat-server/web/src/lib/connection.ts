import { SessionSocket, type ConnectRefusal, type Credentials, type Heard, type SocketEvents } from "./session-socket";
import { RequestError, type Answer, type Payload, type Position, type Request, type RequestName, type Trouble } from "./protocol";
import { openSocket, type OpenSocket } from "./socket";

/** What the connection tells the rest of the page. It knows nothing of rooms, and the rest knows nothing of sockets. */
export interface ConnectionEvents extends Omit<Heard, "draining"> {
  /** Asked at each attempt to connect. */
  credentials(): Credentials;
  /** What has been heard so far, by room. */
  positions(): Record<string, Position>;
  lost(how: { handover: boolean }): void;
  failed(why: "unreachable" | "unavailable", cause?: Trouble): void;
  refused(code: ConnectRefusal, message: string): void;
}

/**
 * One session's connection. It is always on its way back: only a refusal that will not pass, or `close()`, ends it.
 *
 * A node that stops says so. Then a second socket is opened beside the one that is there, and takes over once it has caught
 * up, in one step: it was given the positions that were reached, so what it brings goes on exactly there. What was asked
 * on the first is still answered on it, or counts as unanswered. Nobody notices.
 */
export class Connection {
  #current: SessionSocket | undefined;
  /** On standby, while the node of the current one stops. */
  #next: SessionSocket | undefined;
  /** Runs from the notice of a drain until the second socket is opened. */
  #handover: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly events: ConnectionEvents,
    private readonly openIo: OpenSocket = openSocket,
  ) {}

  open(): void {
    this.#current = this.#openSocket({ standby: false });
  }

  close(): void {
    this.#endHandover();
    this.#current?.close();
    this.#current = undefined;
  }

  /** As `close()`, but what was asked is still answered. */
  leave(): void {
    this.#endHandover();
    this.#current?.retire();
    this.#current = undefined;
  }

  request: Request = async <N extends RequestName>(name: N, payload: Payload<N>): Promise<Answer<N>> => {
    if (!this.#current) throw new RequestError("disconnected", "not connected", true);
    return this.#current.request(name, payload);
  };

  /** For what may be lost, like "is typing". */
  hint<N extends RequestName>(name: N, payload: Payload<N>): void {
    this.request(name, payload).catch(() => {});
  }

  #openSocket(how: { standby: boolean }): SessionSocket {
    const heard: Heard = { ...this.events, draining: (after) => this.#onDraining(after) };
    return new SessionSocket(this.openIo, heard, this.#socketEvents, how);
  }

  readonly #socketEvents: SocketEvents = {
    credentials: () => this.events.credentials(),
    positions: () => this.events.positions(),
    caughtUp: () => this.#takeOver(),
    lost: (socket) => this.#onLost(socket),
    failed: (socket, why, cause) => {
      if (socket === this.#current) this.events.failed(why, cause);
    },
    refused: (socket, code, message) => {
      // The session on the current one is as good as ever.
      if (socket === this.#next) return this.#endHandover();
      this.close();
      this.events.refused(code, message);
    },
  };

  #onDraining(after: number): void {
    if (this.#handover || this.#next) return;
    this.#handover = setTimeout(() => {
      this.#handover = undefined;
      this.#next = this.#openSocket({ standby: true });
    }, after);
  }

  #takeOver(): void {
    const [old, next] = [this.#current, this.#next];
    if (!next) return;
    this.#next = undefined;
    this.#current = next;
    old?.retire();
    next.release();
  }

  #onLost(socket: SessionSocket): void {
    // On standby it was not in use yet; it tries again by itself.
    if (socket === this.#next) return;
    const handover = this.#handover !== undefined || this.#next !== undefined;
    // The second one is nearly there. One that has failed already waits longer from time to time: the first starts afresh.
    if (this.#next && !this.#next.failed) this.#takeOver();
    this.#endHandover();
    if (!this.#current?.session) this.events.lost({ handover });
  }

  #endHandover(): void {
    clearTimeout(this.#handover);
    this.#handover = undefined;
    this.#next?.close();
    this.#next = undefined;
  }
}
