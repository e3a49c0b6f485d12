import type { LogEvent } from "./protocol";

const MOST = 1000;

/** Events of rooms that are just being entered: they may come before the answer that makes the room known. */
export class EarlyEvents {
  #entering = 0;
  #events: LogEvent[] = [];

  /** An event of a room that is not known. Kept only while a room is being entered. */
  heard(event: LogEvent): void {
    if (this.#entering > 0 && this.#events.length < MOST) this.#events.push(event);
  }

  /** What is heard while `act` makes a room known is given to `take` afterwards, in order. */
  async during<T>(act: () => Promise<T>, take: (event: LogEvent) => void): Promise<T> {
    this.#entering++;
    try {
      return await act();
    } finally {
      this.#entering--;
      const events = this.#events;
      this.#events = [];
      for (const event of events) take(event);
    }
  }
}
