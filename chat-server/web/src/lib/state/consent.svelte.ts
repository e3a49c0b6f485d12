import { SvelteMap, SvelteSet } from "svelte/reactivity";
import type { Events, Request, Session } from "../protocol";

export type Invitation = Events["room:invited"];
export type Invites = Session["invites"];

/** Whom I let add me to rooms, who asks me into one, and whom I block. */
export class Consent {
  invites = $state<Invites>("all");
  readonly invited = new SvelteMap<string, Invitation>();
  readonly blocked = new SvelteSet<string>();

  constructor(private readonly request: Request) {}

  /** As a new session tells it. A node of an earlier version tells nothing. */
  begin({ invites = "all", invited = [], blocked = [] }: Partial<Session>): void {
    this.clear();
    this.invites = invites;
    for (const invitation of invited) this.heard(invitation);
    for (const user of blocked) this.blocked.add(user);
  }

  heard(invitation: Invitation): void {
    this.invited.set(invitation.room, invitation);
  }

  marked(user: string, on: boolean): void {
    if (on) this.blocked.add(user);
    else this.blocked.delete(user);
  }

  async setInvites(invites: Invites): Promise<void> {
    await this.request("profile:set", { invites });
    this.invites = invites;
  }

  async block(user: string, on: boolean): Promise<void> {
    await this.request("user:block", { user, on });
    this.marked(user, on);
  }

  async decline(room: string): Promise<void> {
    await this.request("room:leave", { room });
    this.invited.delete(room);
  }

  clear(): void {
    this.invites = "all";
    this.invited.clear();
    this.blocked.clear();
  }
}
