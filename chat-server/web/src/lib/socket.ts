import { io, type Socket } from "socket.io-client";
import { folder } from "./place";
import { TransportChoice, type Transport } from "./transport-choice";

/** How long a WebSocket that has opened may take to become a session. The server itself gives up after 10 s. */
const SESSION_TIMEOUT = 8000;
/** How long a WebSocket that was upgraded to may be silent at first. The server sends a ping every 15 s. */
const UPGRADED_SILENCE = 20_000;

/** What of a Socket.IO socket is used here. */
export type IoSocket = Pick<Socket, "connected" | "active" | "io" | "on" | "off" | "connect" | "disconnect" | "timeout"> & {
  /** Connects anew, otherwise, if nothing at all has come for so long. */
  restartIfSilent(ms: number): void;
};

/** Opens a connection of its own. `auth` is asked at each attempt. */
export type OpenSocket = (auth: () => object) => IoSocket;

/** What is known of the network, for all connections of the page. */
const choice = new TransportChoice();

export const openSocket: OpenSocket = (auth) => {
  const socket = io({
    forceNew: true,
    path: `${folder()}socket.io/`,
    transports: choice.transports,
    timeout: choice.patience,
    tryAllTransports: true,
    reconnectionDelay: 500,
    reconnectionDelayMax: 5000,
    auth: (give) => give(auth()),
  });
  return Object.assign(socket, { restartIfSilent: followChoice(socket) });
};

/** Has a socket follow the choice of transports, and the choice what becomes of the socket. Answers `restartIfSilent`. */
function followChoice(socket: Socket): (ms: number) => void {
  const manager = socket.io;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let heardAt = 0;
  let begunAt: number | undefined;

  const over = (): Transport => (manager.engine.transport?.name === "websocket" ? "websocket" : "polling");
  const choose = () => {
    manager.opts.transports = choice.transports;
    manager.timeout(choice.patience);
  };
  const restart = () => {
    choice.failed(over());
    begunAt = undefined;
    socket.disconnect();
    choose();
    socket.connect();
  };
  manager.on("reconnect_attempt", choose);
  const restartIfSilent = (ms: number) => {
    if (socket.connected && Date.now() - heardAt >= ms) restart();
  };
  const after = (ms: number, act: () => void) => {
    clearTimeout(timer);
    timer = setTimeout(act, ms);
  };
  manager.on("open", () => {
    manager.engine.on("packet", () => (heardAt = Date.now()));
    manager.engine.on("upgrade", () => after(UPGRADED_SILENCE, () => restartIfSilent(UPGRADED_SILENCE)));
    if (over() === "websocket") after(SESSION_TIMEOUT, restart);
  });
  manager.on("error", (error) => {
    // Only a time-out is no error of all transports.
    if (error.message === "timeout") choice.failed(over());
  });
  manager.on("close", () => clearTimeout(timer));
  socket.on("session", () => {
    if (over() === "websocket") clearTimeout(timer);
    begunAt = Date.now();
    choice.established();
  });
  socket.on("disconnect", (reason) => {
    if (!reason.startsWith("io ")) {
      if (begunAt === undefined) choice.failed(over());
      else choice.lost(over(), Date.now() - begunAt);
    }
    begunAt = undefined;
  });
  return restartIfSilent;
}
