// Made by `make generate` from chat-server/src/transport/socketio/requests. Do not edit.

/** Why a request was refused. */
export type Code = "bad_request" | "unauthenticated" | "forbidden" | "not_found" | "conflict" | "rate_limited" | "too_large" | "unavailable" | "draining" | "unsupported";

/** Identifies an entry of a room's log permanently: its epoch and its offset. */
export type EntryId = string;

/** The epoch of an offset. A log begins a new epoch when its store may have lost entries, so that an offset that is assigned twice never names two entries. Opaque to clients. */
export type Epoch = string;

/** Entries that were too many to be listed, both ends inclusive. */
export interface Gap {
  from: number;
  to: number;
}

/** An invitation to a room that waits for the person's word. */
export interface Invitation {
  /** The room. */
  room: RoomId;
  /** What it was called then. */
  name: string;
  /** Who can see it. */
  kind: Kind;
  /** Who invites. */
  by: User;
}

/** A link that still lets people in, as members are told of it: without the secret that it needs. */
export interface InviteView {
  /** Its id, by which it is revoked. Nobody gets in by it. */
  invite: string;
  /** How many people it still lets in. */
  uses: number;
  /** After this it lets in nobody. */
  expiresAt: number;
  by?: User;
}

/** Whom a person lets add them to rooms. */
export type Invites = "all" | "known" | "none";

/** Who can see a room. */
export type Kind = "public" | "private" | "dm";

/** A bound that a request can meet. */
export type Limit = "messages" | "changes" | "queries" | "queued-requests" | "message-bytes" | "rooms" | "rooms-added" | "received" | "requests" | "invitations" | "blocked" | "invites" | "member-invites" | "sessions" | "empty-rooms" | "store-memory" | "page-bytes" | "packet-bytes" | "packets-per-poll" | "upgrades" | "backlog" | "connections" | "handshakes" | "new-guests" | "node-guests" | "open-files" | "request-head" | "request-body" | "idle-connection";

/** An entry of a room's log: the event's name, and its payload beside it. */
export interface LogEvent {
  event: string;
  room: RoomId;
  epoch: Epoch;
  offset: number;
  id: EntryId;
  at: number;
  by: User;
  [field: string]: unknown;
}

export interface Member {
  user: User;
  role: Role;
  status: Status;
}

/** A room of one's own, as a socket is told of it. */
export interface Membership {
  /** Which. */
  room: RoomId;
  /** Its name, for this person. */
  name: string;
  /** Who can see it. */
  kind: Kind;
  /** What it is about. */
  topic: string;
  /** Whether it takes no more messages. */
  archived: boolean;
  /** From here on the socket receives the room. */
  position: Position;
  /** How many messages of others one has not read. */
  unread: number;
  /** Of what the client has, up to where the log still holds the same, if the store lost what comes after. */
  forkedAt?: number;
  /** A direct message that one closed, and in which nothing was said since. */
  hidden?: boolean;
  /** A direct message that a stranger opened, and that one has neither accepted nor answered. */
  request?: boolean;
  role?: Role;
}

/** A message, as it is delivered and as it stands in the history. */
export interface Message {
  room: RoomId;
  epoch: Epoch;
  offset: number;
  id: EntryId;
  /** When it was stored, by the store's clock. */
  at: number;
  by: User;
  /** Exactly as it was sent. */
  text: string;
  nonce: Nonce;
  reactions: [];
  replyTo?: EntryId;
}

/** A name of a person or a room: 1 to [`MAX_NAME_CHARS`] characters after trimming, no control characters. */
export type Name = string;

/** One running chat-server. */
export type NodeId = string;

/** A client's idempotency key: 1 to [`MAX_NONCE_CHARS`] characters, no control characters. */
export type Nonce = string;

/** All entries up to and including `offset`, in an epoch of the log. */
export interface Position {
  /** The epoch of the offset. */
  epoch: Epoch;
  /** The offset of the last entry that was received. */
  offset: number;
}

/** A refusal, as it is told to the client. */
export interface Refusal {
  /** The word from the closed list. */
  code: Code;
  /** A sentence for the developer who reads it; never a secret, never internals. */
  message: string;
  /** Whether the same request may succeed later, unchanged. */
  temporary: boolean;
  limit?: Limit;
  /** When to try again, in milliseconds. */
  retryAfterMs?: number;
  store?: Trouble;
}

/** Why a session was revoked. */
export type RevokeReason = "requested" | "token_reused" | "too_many";

/** What a member may do. */
export type Role = "member" | "moderator" | "owner";

/** A room: the lobby, a public or private room, or a direct message. */
export type RoomId = string;

/** Who is behind one resume token, over reconnects and nodes. */
export type SessionId = string;

export interface SessionLimits {
  maxMessageBytes: number;
  messagesPerSecond: number;
  messageBurst: number;
  maxPayload: number;
  historyLimit: number;
}

/** A session, as its user is told of it. */
export interface SessionView {
  /** Its id, by which it is revoked. Not a secret. */
  session: SessionId;
  /** When it began. */
  since: number;
  /** When it was last used, to the hour; up to seven hours ago while a socket is open. */
  lastSeen: number;
  /** Whether it is the one that asks. */
  current: boolean;
  /** What the client called itself. */
  client: string;
}

/** Whether someone is there. */
export type Status = "online" | "offline";

/** Why the store can't be used, or refuses what it is asked. */
export type Trouble = "unreachable" | "unauthenticated" | "untrusted" | "tls_rejected" | "no_primary" | "shard_unreachable" | "slots_unknown" | "read_only" | "out_of_memory" | "disk_failed" | "too_few_replicas" | "loading" | "busy" | "no_permission" | "cluster_down";

/** A person, as others see them. */
export interface User {
  /** Theirs for as long as they are known. */
  id: UserId;
  /** What they call themselves; not unique. */
  name: Name;
  /** Known only by a resume token, and forgotten some time after the last socket. */
  guest: boolean;
}

/** A person. */
export type UserId = string;

/** A room as one person sees it. */
export interface View {
  /** Which. */
  room: RoomId;
  /** Its name, for this person. */
  name: string;
  /** Who can see it. */
  kind: Kind;
  /** What it is about. */
  topic: string;
  /** Whether it takes no more messages. */
  archived: boolean;
  /** How many people are in it; for the lobby, how many are connected. */
  members: number;
  role?: Role;
}

/** What each request says, and what answers it beside `ok`. */
export interface Requests {
  /** Creates a room whose owner is the user. A public name that is in use, or looks like one in use, is `conflict`; `kind` is `public` or `private`. */
  "room:create": {
    payload: {
      name: Name;
      kind: Kind;
      topic?: string;
    };
    answer: {
      room: RoomId;
    };
  };
  /** Lists the user's own rooms first, then public ones by name; those whose name holds `query`. A page may be short, or empty, and have a `cursor` all the same: go on until there is none. */
  "room:list": {
    payload: {
      cursor?: string;
      limit?: number;
      query?: string;
    };
    answer: {
      rooms: View[];
      cursor?: string;
    };
  };
  /** Joins a public room, or enters one that the user is in. `messages` are the newest `limit` of its history; with `since`, `events` are all log entries after it, or over 500 of them `events: []` and `gap`. */
  "room:join": {
    payload: {
      room: RoomId;
      limit?: number;
      since?: Position;
    };
    answer: {
      /** Which. */
      room: RoomId;
      /** Its name, for this person. */
      name: string;
      /** Who can see it. */
      kind: Kind;
      /** What it is about. */
      topic: string;
      /** Whether it takes no more messages. */
      archived: boolean;
      /** How many people are in it; for the lobby, how many are connected. */
      members: number;
      /** From here on the socket receives the room. */
      position: Position;
      /** Whether everything after `since` is in `events`, or in `gap`. */
      recovered: boolean;
      messages: Message[];
      events: LogEvent[];
      gap?: Gap;
      role?: Role;
    };
  };
  /** Leaves a room. All sockets of the user leave. */
  "room:leave": {
    payload: {
      room: RoomId;
    };
    answer: Record<string, never>;
  };
  /** Renames a room, changes its topic, archives it or takes it back; at least one of these. For its owners and moderators. A public name in use, or that looks like one, is `conflict`. An archived room takes no messages. */
  "room:update": {
    payload: {
      room: RoomId;
      archived?: boolean;
      name?: Name;
      topic?: string;
    };
    answer: Record<string, never>;
  };
  /** Lists the members of a room by id. Those of the lobby are the connected users. */
  "room:members": {
    payload: {
      room: RoomId;
      cursor?: UserId;
      limit?: number;
    };
    answer: {
      members: Member[];
      cursor?: UserId;
    };
  };
  /** Adds a user, who is invited instead where the user does not let everyone add them; or without `user` makes a link token that lets in `uses` people (1 unless told) within `expiresInSeconds` (a day unless told). */
  "room:invite": {
    payload: {
      room: RoomId;
      expiresInSeconds?: number;
      user?: UserId;
      uses?: number;
    };
    answer: {
      /** Of a user: whether they are in the room now. Otherwise they are asked first. */
      added?: boolean;
      /** The link token, if one was asked for. */
      invite?: string;
    };
  };
  /** Enters a room by an invite link, or with `room` by an invitation of the user, and answers as `room:join`. Of a message request it makes a direct message like others. A spent, expired or unknown one is `not_found`. */
  "room:accept": {
    payload: {
      invite?: string;
      room?: RoomId;
    };
    answer: {
      /** Which. */
      room: RoomId;
      /** Its name, for this person. */
      name: string;
      /** Who can see it. */
      kind: Kind;
      /** What it is about. */
      topic: string;
      /** Whether it takes no more messages. */
      archived: boolean;
      /** How many people are in it; for the lobby, how many are connected. */
      members: number;
      /** From here on the socket receives the room. */
      position: Position;
      /** Whether everything after `since` is in `events`, or in `gap`. */
      recovered: boolean;
      messages: Message[];
      events: LogEvent[];
      gap?: Gap;
      role?: Role;
    };
  };
  /** Lists the open invite links of a room, those that end first at the start: to owners and moderators all, to a member the member's own. `invite` is the id of a link, by which nobody gets in. */
  "room:invites": {
    payload: {
      room: RoomId;
      cursor?: string;
      limit?: number;
    };
    answer: {
      invites: InviteView[];
      cursor?: string;
    };
  };
  /** Revokes an open invite link by its id in `room:invites`. Owners and moderators revoke any, a member the member's own. */
  "room:revoke": {
    payload: {
      room: RoomId;
      invite: string;
    };
    answer: Record<string, never>;
  };
  /** Opens the direct message with a user: the same room for both. */
  "dm:open": {
    payload: {
      user: UserId;
    };
    answer: {
      room: RoomId;
    };
  };
  /** Hides a direct message until the next message in it, or until the user opens it again, and marks it as read. */
  "dm:close": {
    payload: {
      room: RoomId;
    };
    answer: Record<string, never>;
  };
  /** Blocks a user, or ends that. A blocked user can't invite, open a direct message, or write in one. They are not told. */
  "user:block": {
    payload: {
      user: UserId;
      on: boolean;
    };
    answer: Record<string, never>;
  };
  /** Sets who may add the user to rooms: `all`, `known` (who shares a room other than the lobby with the user, or was written to), or `none`. Of others comes `room:invited`, and `room:accept {room}` enters. */
  "profile:set": {
    payload: {
      invites: Invites;
    };
    answer: Record<string, never>;
  };
  /** Sends a message. The same nonce gets the same answer; another text under it is `conflict`. */
  "message:send": {
    payload: {
      room: RoomId;
      nonce: Nonce;
      /** Kept exactly as it came. */
      text: string;
      replyTo?: EntryId;
    };
    answer: {
      id: EntryId;
      position: Position;
      at: number;
    };
  };
  /** Pages through the messages of a room, in increasing order. Bounds are exclusive; `limit` is 50 by default, at most 100, and a page has at most 256 KiB; `complete` says that nothing lies beyond the page. */
  "history:get": {
    payload: {
      room: RoomId;
      after?: number;
      before?: number;
      limit?: number;
    };
    answer: {
      epoch: Epoch;
      messages: Message[];
      complete: boolean;
    };
  };
  /** Pages through the entries of a room's log. For a position of another log, or a range that is gone: `{recovered: false, events: []}`. */
  "log:get": {
    payload: {
      room: RoomId;
      epoch: Epoch;
      after: number;
      limit?: number;
    };
    answer: {
      events: LogEvent[];
      complete?: boolean;
      position?: Position;
      /** `false` where the range is gone; otherwise absent. */
      recovered?: boolean;
    };
  };
  /** Marks a room as read up to an offset. Never moves back, and not beyond the newest entry. A new member has read everything. `unread` is exact if at most 200 entries come after the mark or since the former one, else about right. */
  "read:mark": {
    payload: {
      room: RoomId;
      offset: number;
    };
    answer: {
      /** How many messages of others come after it. */
      unread: number;
    };
  };
  /** Says whether the user is typing. Holds for 8 s, or until the socket goes: repeated every 3 s while the user types. */
  "typing:set": {
    payload: {
      room: RoomId;
      on: boolean;
    };
    answer: Record<string, never>;
  };
  /** Lists the user's sessions on all nodes: the one of this socket, then those that were used last. */
  "session:list": {
    payload: Record<string, never>;
    answer: {
      sessions: SessionView[];
    };
  };
  /** Revokes one of the user's sessions: its sockets are closed on all nodes, and its `resume` is refused from now on. To revoke the socket's own session is to sign out. */
  "session:revoke": {
    payload: {
      session: SessionId;
    };
    answer: Record<string, never>;
  };
}

/** What each event tells. */
export interface Events {
  /** The event `session`. About the connection itself. */
  "session": {
    /** The version of the protocol. */
    protocol: number;
    node: NodeId;
    user: User;
    /** The session's id, for `session:revoke`. */
    session: SessionId;
    /** The token that continues the session on any node. */
    resume: string;
    recovered: boolean;
    /** Rooms whose positions can't be continued. */
    unrecovered: string[];
    rooms: Membership[];
    /** Whom the person lets add them to rooms. */
    invites: Invites;
    /** Invitations that wait to be accepted. */
    invited: Invitation[];
    /** Whom the person blocks. */
    blocked: UserId[];
    limits: SessionLimits;
    serverTime: number;
  };
  /** A room of one's own, as a socket is told of it. About the connection itself. */
  "room:added": {
    /** Which. */
    room: RoomId;
    /** Its name, for this person. */
    name: string;
    /** Who can see it. */
    kind: Kind;
    /** What it is about. */
    topic: string;
    /** Whether it takes no more messages. */
    archived: boolean;
    /** From here on the socket receives the room. */
    position: Position;
    /** How many messages of others one has not read. */
    unread: number;
    /** Of what the client has, up to where the log still holds the same, if the store lost what comes after. */
    forkedAt?: number;
    /** A direct message that one closed, and in which nothing was said since. */
    hidden?: boolean;
    /** A direct message that a stranger opened, and that one has neither accepted nor answered. */
    request?: boolean;
    role?: Role;
  };
  /** An invitation to a room that waits for the person's word. About the connection itself. */
  "room:invited": {
    /** The room. */
    room: RoomId;
    /** What it was called then. */
    name: string;
    /** Who can see it. */
    kind: Kind;
    /** Who invites. */
    by: User;
  };
  /** The event `room:settings`, to the person's other sockets: what a direct message is to the person. About the connection itself. */
  "room:settings": {
    room: RoomId;
    /** A stranger opened it, and the person has neither accepted nor answered it. */
    request: boolean;
    /** The person closed it, and nothing was said since. */
    hidden: boolean;
  };
  /** The event `user:blocked`, to the person's other sockets. About the connection itself. */
  "user:blocked": {
    user: UserId;
    /** Whether they are blocked now. */
    on: boolean;
  };
  /** Entries of a room's log that a client may have missed: it pages them with `log:get`. About the connection itself. */
  "gap": {
    /** The room. */
    room: RoomId;
    /** The epoch of the log. */
    epoch: Epoch;
    /** The first of them. */
    from: number;
    /** The last of them. */
    to: number;
  };
  /** The node hands the socket over: reconnect after this time. About the connection itself. */
  "server:draining": {
    reconnectAfterMs: number;
  };
  /** The session of the socket was revoked; the server disconnects the socket next. About the connection itself. */
  "session:revoked": {
    session: SessionId;
    reason: RevokeReason;
  };
  /** A message, as it is delivered and as it stands in the history. An entry of a room's log: delivered once, in order. */
  "message:new": {
    room: RoomId;
    epoch: Epoch;
    offset: number;
    id: EntryId;
    /** When it was stored, by the store's clock. */
    at: number;
    by: User;
    /** Exactly as it was sent. */
    text: string;
    nonce: Nonce;
    reactions: [];
    replyTo?: EntryId;
  };
  /** A user became a member. An entry of a room's log: delivered once, in order. */
  "member:joined": {
    room: RoomId;
    epoch: Epoch;
    offset: number;
    id: EntryId;
    at: number;
    by: User;
    user: User;
    role: Role;
  };
  /** A user is no longer a member. An entry of a room's log: delivered once, in order. */
  "member:left": {
    room: RoomId;
    epoch: Epoch;
    offset: number;
    id: EntryId;
    at: number;
    by: User;
    user: User;
    reason: string;
  };
  /** A room was renamed, archived or taken back, or has another topic: what it is after that. An entry of a room's log: delivered once, in order. */
  "room:updated": {
    room: RoomId;
    epoch: Epoch;
    offset: number;
    id: EntryId;
    at: number;
    by: User;
    name: string;
    topic: string;
    archived: boolean;
  };
  /** A user types, or stopped. Not stored: delivered at most once. */
  "typing": {
    room: RoomId;
    user: User;
    on: boolean;
  };
  /** A user who shares a private room or a direct message came or went. Not stored: delivered at most once. */
  "presence": {
    user: User;
    status: Status;
  };
  /** The event `read:marked`, to the person's other sockets. Not stored: delivered at most once. */
  "read:marked": {
    room: RoomId;
    offset: number;
    unread: number;
  };
}
