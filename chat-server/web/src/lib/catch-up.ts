import type { Position, Session } from "./protocol";

/**
 * Whether a second connection has brought all that the first had brought when the second's session began. Pure. From then
 * on the first can be let go: whatever it heard since, the second is about to hear as well.
 */
export class CatchUp {
  /** Rooms that are not there yet, and the offset up to which they have to come. */
  readonly #behind = new Map<string, number>();

  constructor(session: Session, held: Record<string, Position>) {
    const anew = new Set(session.unrecovered);
    for (const { room, position } of session.rooms) {
      const has = held[room];
      if (has && has.offset > position.offset && !anew.has(room)) this.#behind.set(room, has.offset);
    }
  }

  get done(): boolean {
    return this.#behind.size === 0;
  }

  reached(room: string, offset: number): void {
    if (offset >= (this.#behind.get(room) ?? Infinity)) this.#behind.delete(room);
  }
}
