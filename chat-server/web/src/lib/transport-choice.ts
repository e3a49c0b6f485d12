export type Transport = "websocket" | "polling";

/** The transports of an attempt, the first one first; polling before a WebSocket is upgraded to it once that has shown to work. */
const LADDER: readonly (readonly Transport[])[] = [["websocket", "polling"], ["polling", "websocket"], ["polling"]];
/** How long a WebSocket may take to open at first: a proxy may let it open and pass nothing, or hold it for ever. */
const FIRST_PATIENCE = 5000;
const MOST_PATIENCE = 20_000;
/** A WebSocket that ends by itself within this time is one that something cuts, if it happens again. */
const SHORT = 30_000;
/** After so long, a WebSocket that was upgraded to is as good as any. */
const LONG = 60_000;
/** After so long on polling, the page may be in another network. */
const OTHER_NETWORK = 600_000;

/**
 * Over which transports to connect. A WebSocket first: it costs least and stays with its node. Where WebSockets fail without
 * an error, which Socket.IO would try again and again, polling first; and polling only where they work and then go silent.
 */
export class TransportChoice {
  #step = 0;
  #patience = FIRST_PATIENCE;
  #short = 0;

  get transports(): Transport[] {
    return [...LADDER[this.#step]!];
  }

  /** How long an attempt may take to open a connection. */
  get patience(): number {
    return this.#step === 0 ? this.#patience : MOST_PATIENCE;
  }

  established(): void {
    this.#patience = FIRST_PATIENCE;
  }

  /** An attempt over this transport came to nothing without an error, or its connection went silent. */
  failed(over: Transport): void {
    this.#short = 0;
    if (over === "websocket") {
      this.#step = Math.min(this.#step + 1, LADDER.length - 1);
    } else if (this.#step > 0) {
      // Perhaps a WebSocket is only slow.
      this.#step = 0;
      this.#patience = Math.min(this.#patience * 2, MOST_PATIENCE);
    }
  }

  /** A session's connection ended by itself after so long. */
  lost(over: Transport, after: number): void {
    if (over === "websocket" && after < SHORT) {
      if (++this.#short > 1) this.failed(over);
      return;
    }
    this.#short = 0;
    if (after > (over === "websocket" ? LONG : OTHER_NETWORK)) this.#step = 0;
  }
}
