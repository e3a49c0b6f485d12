import { SvelteMap } from "svelte/reactivity";

const SHOWN_MS = 5000;
const REPEAT_MS = 3000;

/** Who is writing where. A lost "off" doesn't matter: each entry ends by itself. */
export class Typing {
  readonly #rooms = new SvelteMap<string, { user: string; name: string }[]>();
  readonly #timers = new Map<string, ReturnType<typeof setTimeout>>();
  #saidAt = 0;
  #saidIn: string | undefined;

  constructor(private readonly say: (room: string, on: boolean) => void) {}

  in(room: string): readonly { user: string; name: string }[] {
    return this.#rooms.get(room) ?? [];
  }

  heard(room: string, user: string, name: string, on: boolean): void {
    const key = `${room}\n${user}`;
    clearTimeout(this.#timers.get(key));
    this.#timers.delete(key);
    const others = this.in(room).filter((other) => other.user !== user);
    this.#rooms.set(room, on ? [...others, { user, name }] : others);
    if (on) this.#timers.set(key, setTimeout(() => this.heard(room, user, name, false), SHOWN_MS));
  }

  /** A key was pressed: say so, but not at each key. */
  pressed(room: string, empty: boolean): void {
    if (empty) return this.stopped(room);
    const now = Date.now();
    if (this.#saidIn === room && now - this.#saidAt < REPEAT_MS) return;
    this.#saidIn = room;
    this.#saidAt = now;
    this.say(room, true);
  }

  stopped(room: string): void {
    if (this.#saidIn !== room) return;
    this.#saidIn = undefined;
    this.say(room, false);
  }

  /** Sent: receivers end it themselves when the message comes. */
  sent(): void {
    this.#saidIn = undefined;
  }

  clear(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    this.#rooms.clear();
  }
}
