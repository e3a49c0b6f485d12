import type { Refusal } from "./connection";
import { RequestError } from "./protocol";

/** What went wrong, for the person who did it. */
export function problemText(error: unknown): string {
  if (!(error instanceof RequestError)) return "Something went wrong. Please try again.";
  switch (error.code) {
    case "disconnected":
    case "timeout":
      return "No answer from the server. Please try again when the connection is back.";
    case "unavailable":
    case "draining":
      return "The server can’t do that right now. Please try again in a moment.";
    case "rate_limited":
      return "That was too fast. Please try again in a moment.";
    case "too_large":
      return "This message is too long.";
    case "forbidden":
      return "You are not allowed to do that here.";
    case "not_found":
      return "That is not there any more.";
    case "unauthenticated":
      return "Your session has ended. Please sign in again.";
    case "unsupported":
      return "This server doesn’t know how to do that.";
    case "conflict":
    case "bad_request":
      return `The server refused it: ${error.message}.`;
  }
}

export function refusalText(code: Refusal, message: string): string {
  switch (code) {
    case "revoked":
      return message;
    case "unauthenticated":
      return "Your session has ended. Pick a name to come back.";
    case "forbidden":
      return "This server doesn’t let you in.";
    case "bad_request":
      return message ? `The server didn’t accept that: ${message}.` : "The server didn’t accept that.";
  }
}

/** What the banner says, or nothing while all is well. */
export function bannerText(state: {
  link: "online" | "offline" | "connecting";
  trouble: "unreachable" | "unavailable" | "lost" | undefined;
  storing: boolean;
  waiting: number;
}): string | undefined {
  if (state.link === "online") {
    return state.storing ? undefined : "The server can’t store messages right now; yours are kept and will be sent.";
  }
  if (state.trouble === undefined) return undefined;
  const kept =
    state.waiting === 0 ? "" : state.waiting === 1 ? " Your message is kept and will be sent." : ` Your ${state.waiting} messages are kept and will be sent.`;
  if (state.link === "offline") return `You are offline.${kept || " Reconnecting when the network is back."}`;
  if (state.trouble === "unavailable") return `The server can’t take connections right now. Trying again…${kept}`;
  if (state.trouble === "unreachable") return `Can’t reach the server. Trying again…${kept}`;
  return `Connection lost. Reconnecting…${kept}`;
}

export function typingText(names: readonly string[]): string {
  const [a, b] = names;
  if (a === undefined) return "";
  if (b === undefined) return `${a} is typing…`;
  return names.length === 2 ? `${a} and ${b} are typing…` : "Several people are typing…";
}
