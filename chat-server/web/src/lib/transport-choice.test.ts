import { describe, expect, it } from "vitest";
import { TransportChoice } from "./transport-choice";

const MINUTE = 60_000;

describe("the choice of transports", () => {
  it("is a WebSocket first, and stays so while all is well", () => {
    const choice = new TransportChoice();
    choice.established();
    choice.lost("websocket", 10 * MINUTE);
    choice.lost("websocket", 5000);
    choice.lost("websocket", 10 * MINUTE);
    choice.lost("websocket", 5000);
    expect(choice.transports).toEqual(["websocket", "polling"]);
  });

  it("is polling first once a WebSocket came to nothing, and polling only if an upgraded one did, too", () => {
    const choice = new TransportChoice();
    choice.failed("websocket");
    expect(choice.transports).toEqual(["polling", "websocket"]);
    choice.established();
    choice.failed("websocket");
    expect(choice.transports).toEqual(["polling"]);
    choice.failed("websocket");
    expect(choice.transports).toEqual(["polling"]);
  });

  it("is polling first once a second WebSocket in turn was cut early", () => {
    const choice = new TransportChoice();
    choice.lost("websocket", 3000);
    expect(choice.transports).toEqual(["websocket", "polling"]);
    choice.established();
    choice.lost("websocket", 3000);
    expect(choice.transports).toEqual(["polling", "websocket"]);
  });

  it("gives a WebSocket more time each time that polling fails as well", () => {
    const choice = new TransportChoice();
    const patience = [choice.patience];
    for (let round = 0; round < 3; round++) {
      choice.failed("websocket");
      choice.failed("polling");
      patience.push(choice.patience);
    }
    expect(patience).toEqual([5000, 10_000, 20_000, 20_000]);
    choice.established();
    expect(choice.patience).toBe(5000);
  });

  it("goes back to a WebSocket that proved good, and after a long time on polling", () => {
    for (const [over, after, transport] of [
      ["websocket", 2 * MINUTE, "websocket"],
      ["polling", 5 * MINUTE, "polling"],
      ["polling", 11 * MINUTE, "websocket"],
    ] as const) {
      const choice = new TransportChoice();
      choice.failed("websocket");
      choice.established();
      choice.lost(over, after);
      expect(choice.transports[0]).toBe(transport);
    }
  });
});
