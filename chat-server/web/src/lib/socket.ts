import { io, type Socket } from "socket.io-client";

/** What of a Socket.IO socket is used here. */
export type IoSocket = Pick<Socket, "connected" | "active" | "io" | "on" | "off" | "connect" | "disconnect" | "timeout">;

/** Opens a connection of its own. `auth` is asked at each attempt. */
export type OpenSocket = (auth: () => object) => IoSocket;

export const openSocket: OpenSocket = (auth) =>
  io({
    forceNew: true,
    // A WebSocket stays with its node by itself; polling is there for networks that allow nothing else.
    transports: ["websocket", "polling"],
    tryAllTransports: true,
    reconnectionDelay: 500,
    reconnectionDelayMax: 5000,
    auth: (give) => give(auth()),
  });
