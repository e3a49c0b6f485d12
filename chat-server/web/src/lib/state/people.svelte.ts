import { SvelteMap } from "svelte/reactivity";
import { look, tag } from "../look";
import type { LogEvent, Member, Request, Status, User } from "../protocol";
import { isUser, userId } from "../protocol";

export interface MemberList {
  members: readonly Member[];
  cursor?: string | undefined;
  state: "loading" | "loaded" | "failed";
}

/** Members of rooms, a page at a time, and what is known of everyone's name and presence. */
export class People {
  readonly lists = new SvelteMap<string, MemberList>();
  /** Pushed presence; newer than what a list said. */
  readonly #presence = new SvelteMap<string, Status>();
  readonly #names = new SvelteMap<string, string>();
  /** Who is known by names of one look. */
  readonly #alike = new SvelteMap<string, readonly string[]>();

  #pageSize = 0;

  constructor(private readonly request: Request) {}

  name(id: string): string | undefined {
    return this.#names.get(id);
  }

  know(user: unknown): void {
    if (!isUser(user)) return;
    const { id, name } = user;
    const before = this.#names.get(id);
    if (before === name) return;
    this.#names.set(id, name);
    if (before !== undefined) this.#alike.set(look(before), (this.#alike.get(look(before)) ?? []).filter((one) => one !== id));
    this.#alike.set(look(name), [...(this.#alike.get(look(name)) ?? []), id]);
  }

  /** The name, with a tag where somebody else's looks like it. */
  label({ id, name }: Pick<User, "id" | "name">): string {
    const alike = this.#alike.get(look(name)) ?? [];
    return alike.some((one) => one !== id) ? `${name} ·${tag(id)}` : name;
  }

  status(member: Member): Status {
    return this.#presence.get(member.user.id) ?? member.status ?? "offline";
  }

  statusOf(id: string): Status | undefined {
    return this.#presence.get(id);
  }

  presence(id: string, status: Status): void {
    this.#presence.set(id, status);
  }

  /** Read the first page anew, or go on at the cursor. What is shown stays until the answer is there. */
  async load(room: string, more = false): Promise<void> {
    const old = this.lists.get(room);
    if (more && !old?.cursor) return;
    this.lists.set(room, { members: old?.members ?? [], cursor: old?.cursor, state: old?.members.length ? "loaded" : "loading" });
    try {
      const cursor = more ? old?.cursor : undefined;
      const page = await this.request("room:members", cursor ? { room, cursor } : { room });
      for (const { user, status } of page.members) {
        this.know(user);
        this.#presence.set(user.id, status);
      }
      if (!more) this.#pageSize = page.members.length;
      const before = more ? (this.lists.get(room)?.members ?? []) : [];
      this.lists.set(room, { members: unique([...before, ...page.members]), cursor: page.cursor || undefined, state: "loaded" });
    } catch {
      const known = this.lists.get(room);
      if (known && !known.members.length) this.lists.set(room, { ...known, state: "failed" });
    }
  }

  /** Read again what is loaded. A list of several pages is left alone: the first page would cut the others off. */
  refresh(room: string): void {
    const list = this.lists.get(room);
    if (!list || list.members.length <= this.#pageSize) void this.load(room);
  }

  /** Someone came or went: keep a loaded list right without reading it again. */
  took(event: LogEvent): void {
    const list = this.lists.get(event.room);
    const user = event["user"];
    this.know(user);
    if (!list) return;
    const id = userId(user);
    const rest = list.members.filter((member) => member.user.id !== id);
    if (event.event === "member:left") this.lists.set(event.room, { ...list, members: rest });
    else if (event.event === "member:joined" && isUser(user)) {
      const role = (event["role"] as Member["role"] | undefined) ?? "member";
      this.lists.set(event.room, { ...list, members: [...rest, { user, role, status: this.#presence.get(id) ?? "online" }] });
    }
  }

  clear(): void {
    this.lists.clear();
    this.#presence.clear();
    this.#names.clear();
    this.#alike.clear();
  }
}

function unique(members: readonly Member[]): Member[] {
  return [...new Map(members.map((member) => [member.user.id, member])).values()];
}
