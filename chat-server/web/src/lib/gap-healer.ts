import type { LogEvent, Request } from "./protocol";
import type { RoomLog } from "./room-log";

const PAGE = 100;

/**
 * Page a room's missing ranges with `log:get` until none is left. Resolves `healed`, or `gone` when the range no longer
 * exists and the room has to be read anew. Throws what `request` throws; the ranges not yet read stay open, so that the
 * next attempt goes on where this one stopped.
 */
export async function healGaps(
  log: RoomLog,
  room: string,
  request: Request,
  apply: (event: LogEvent) => void,
): Promise<"healed" | "gone"> {
  for (let range = log.missing[0]; range; range = log.missing[0]) {
    const after = range.from - 1;
    const { epoch, revision } = log;
    const page = await request("log:get", { room, epoch, after, limit: PAGE });
    // These entries may belong to what was thrown away while we waited.
    if (log.revision !== revision) continue;
    if (page.recovered === false) return "gone";
    for (const event of page.events) apply(event);
    const last = page.events.at(-1)?.offset ?? 0;
    const read = page.complete ? Math.max(last, page.position?.offset ?? 0, range.to) : last;
    // An incomplete page without entries would be asked for for ever.
    if (read <= after) return "gone";
    log.closeGap(after + 1, read);
  }
  return "healed";
}
