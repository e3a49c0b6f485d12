import { expect, test } from "vitest";
import { figures, mark, refusal, summary, when } from "./analytics";

const HOUR = 3_600_000;
const report = {
  at: 30 * HOUR,
  hours: [
    { start: 28 * HOUR, messages: 7, rooms: 2, peakConnections: 30 },
    { start: 29 * HOUR, messages: 3, rooms: 1, peakConnections: 20 },
  ],
  days: [{ start: 24 * HOUR, activeUsers: 5, activeUsersWeek: 9 }],
};

test("a report becomes four figures, each with a row for each hour or day", () => {
  const made = figures(report);
  expect(made.map((figure) => figure.title)).toEqual(["Active people", "Messages", "Rooms", "Connections"]);
  for (const { starts, series } of made) for (const { values } of series) expect(values).toHaveLength(starts.length);
});

test("a figure is said in a sentence", () => {
  expect(summary(figures(report)[1]!)).toBe("Messages by hour. Messages: 3 now, at most 7 (Fri 2 Jan, 04:00).");
  const nothing = { ...report, hours: report.hours.map((hour) => ({ ...hour, messages: 0 })) };
  expect(summary(figures(nothing)[1]!)).toBe("Messages by hour. Messages: 0 now.");
});

test("days and hours are those of UTC", () => {
  expect(when(24 * HOUR, "Day")).toBe("Fri 2 Jan");
  expect(when(28 * HOUR, "Hour")).toBe("Fri 2 Jan, 04:00");
  expect([24, 28].map((hours) => mark(hours * HOUR))).toEqual(["2 Jan", "04:00"]);
});

test("a refusal says what to do", () => {
  expect(refusal(403)).toContain("--admin-token-file");
  expect(refusal(503)).toContain("again");
});
