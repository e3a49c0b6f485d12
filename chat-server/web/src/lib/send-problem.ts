import type { RequestError } from "./protocol";

export const CONFLICT = "Another text was sent under the same key.";

/** Why a message was not taken, for the person who wrote it. */
export function sendProblem(error: RequestError, archived = false): string {
  switch (error.code) {
    case "too_large":
      return "This message is too long for this server.";
    case "forbidden":
      return archived ? "This room is archived." : "You may not write here.";
    case "not_found":
      return "This room is no longer there.";
    case "conflict":
      return CONFLICT;
    default:
      return "The server refused this message.";
  }
}
