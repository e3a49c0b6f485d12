/**
 * How many messages of others lie beyond what was read. Pure. The server's number is only taken as a start (`seed`): from
 * there the page counts what it hears, because a number read by the server and an event under way can cross.
 */
export class Unread {
  /** Unread at `asOf`, as the server counted it. */
  #base = 0;
  #asOf = 0;
  /** Offsets of others' messages heard after `asOf` and not read. */
  #heard: number[] = [];
  readTo = 0;

  get count(): number {
    return this.#base + this.#heard.length;
  }

  seed(unread: number, asOf: number): void {
    this.#base = unread;
    this.#asOf = asOf;
    this.#heard = this.#heard.filter((offset) => offset > asOf);
  }

  heard(offset: number): void {
    if (offset > this.#asOf && offset > this.readTo && !this.#heard.includes(offset)) this.#heard.push(offset);
  }

  /** A message was deleted: it no longer counts. */
  forget(offset: number): void {
    this.#heard = this.#heard.filter((heard) => heard !== offset);
  }

  /** The entries from `from` on are gone, and others may come in their place. */
  cut(from: number): void {
    this.#heard = this.#heard.filter((heard) => heard < from);
    this.#asOf = Math.min(this.#asOf, from - 1);
    this.readTo = Math.min(this.readTo, from - 1);
  }

  /** Read up to `offset`, here or on another socket; `unread` is what the server counted then. */
  marked(offset: number, unread: number): void {
    if (offset <= this.readTo) return;
    this.readTo = offset;
    this.#heard = this.#heard.filter((heard) => heard > offset);
    this.#base = offset >= this.#asOf ? 0 : Math.max(0, unread - this.#heard.length);
  }
}
