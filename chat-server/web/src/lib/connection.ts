import { Line, type ConnectRefusal, type Credentials, type Heard, type LineEvents } from "./line";
import { RequestError, type Answer, type Payload, type Position, type Request, type RequestName } from "./protocol";
import { openWire, type OpenWire } from "./wire";

/** What the connection tells the rest of the page. It knows nothing of rooms, and the rest knows nothing of sockets. */
export interface ConnectionEvents extends Omit<Heard, "draining"> {
  /** Asked at each attempt to connect. */
  credentials(): Credentials;
  /** What has been heard so far, by room. */
  positions(): Record<string, Position>;
  lost(how: { handover: boolean }): void;
  failed(why: "unreachable" | "unavailable"): void;
  refused(code: ConnectRefusal, message: string): void;
}

/**
 * One session's connection. It is always on its way back: only a refusal that will not pass, or `close()`, ends it.
 *
 * A node that stops says so. Then a second line is opened beside the one that is there, and takes over once it has caught
 * up, in one step: it was given the positions that were reached, so what it brings goes on exactly there. What was asked
 * on the first is still answered on it, or counts as unanswered. Nobody notices.
 */
export class Connection {
  #current: Line | undefined;
  /** On standby, while the node of the current one stops. */
  #next: Line | undefined;
  /** Runs from the notice of a drain until the second line is opened. */
  #handover: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly events: ConnectionEvents,
    private readonly wire: OpenWire = openWire,
  ) {}

  open(): void {
    this.#current = this.#line({ standby: false });
  }

  close(): void {
    this.#endHandover();
    this.#current?.close();
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

  #line(how: { standby: boolean }): Line {
    const heard: Heard = { ...this.events, draining: (after) => this.#onDraining(after) };
    return new Line(this.wire, heard, this.#lineEvents, how);
  }

  readonly #lineEvents: LineEvents = {
    credentials: () => this.events.credentials(),
    positions: () => this.events.positions(),
    caughtUp: () => this.#takeOver(),
    lost: (line) => this.#onLost(line),
    failed: (line, why) => {
      if (line === this.#current) this.events.failed(why);
    },
    refused: (line, code, message) => {
      // The session on the current one is as good as ever.
      if (line === this.#next) return this.#endHandover();
      this.close();
      this.events.refused(code, message);
    },
  };

  #onDraining(after: number): void {
    if (this.#handover || this.#next) return;
    this.#handover = setTimeout(() => {
      this.#handover = undefined;
      this.#next = this.#line({ standby: true });
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

  #onLost(line: Line): void {
    // On standby it was not in use yet; it tries again by itself.
    if (line === this.#next) return;
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
