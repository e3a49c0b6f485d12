import type { Session } from "./protocol";
import { ann } from "./test-data";
import type { OpenSocket, IoSocket } from "./socket";

type Listener = (...args: unknown[]) => void;

/** Plays a socket and the server behind it. */
export class FakeSocket {
  connected = false;
  active = true;
  reconnects = true;
  /** After how much silence it was to connect anew. */
  silences: number[] = [];
  readonly requests: { event: string; payload: object; answer(ack: object): void }[] = [];
  readonly #listeners = new Map<string, Listener[]>();
  readonly #unanswered = new Set<(error: Error) => void>();

  constructor(readonly auth: () => { resume?: string; positions?: object }) {}

  readonly io = { reconnection: (on: boolean) => (this.reconnects = on) };

  on(event: string, listener: Listener): void {
    this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), listener]);
  }

  off(): void {
    this.#listeners.clear();
  }

  connect(): void {}

  disconnect(): void {
    this.active = false;
    this.lose("io client disconnect");
  }

  restartIfSilent(ms: number): void {
    this.silences.push(ms);
  }

  timeout() {
    return {
      emitWithAck: (event: string, payload: object) =>
        new Promise((answer, fail) => {
          this.#unanswered.add(fail);
          this.requests.push({ event, payload, answer });
        }),
    };
  }

  /** The server sends an event. */
  says(event: string, payload?: unknown): void {
    for (const listener of this.#listeners.get(event) ?? []) listener(payload);
  }

  /** The connection stands, and its session begins at these offsets. */
  begins(offsets: Record<string, number>, more: Partial<Session> = {}): void {
    this.connected = true;
    const rooms = Object.entries(offsets).map(([room, offset]) => ({ room, name: room, kind: "public", position: { epoch: "e", offset }, unread: 0 }));
    this.says("session", { protocol: 1, node: "n", user: ann, recovered: true, unrecovered: [], rooms, limits: {}, serverTime: 0, ...more });
  }

  /** As Socket.IO does: first it tells, then what was not answered fails. */
  lose(reason = "transport close"): void {
    if (!this.connected) return;
    this.connected = false;
    this.says("disconnect", reason);
    for (const fail of this.#unanswered) fail(new Error("socket has been disconnected"));
  }

  /** Nothing comes in time for what was asked. */
  answersNothing(): void {
    for (const fail of this.#unanswered) fail(new Error("operation has timed out"));
  }

  /** An attempt to connect fails; `responseText` is what a server answered. */
  fails(description?: number, responseText?: string): void {
    const context = { responseText };
    this.says("connect_error", Object.assign(new Error("xhr poll error"), { description, context }));
  }

  /** The server answers the attempt with CONNECT_ERROR. */
  refused(code: string): void {
    this.active = false;
    this.says("connect_error", new Error(code));
  }
}

/** The sockets that were opened, in order. */
export function fakeSockets(): { sockets: FakeSocket[]; open: OpenSocket } {
  const sockets: FakeSocket[] = [];
  const open: OpenSocket = (auth) => {
    const socket = new FakeSocket(auth);
    sockets.push(socket);
    return socket as unknown as IoSocket;
  };
  return { sockets, open };
}
