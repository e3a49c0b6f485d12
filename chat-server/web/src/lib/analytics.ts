/** What `GET /api/v1/analytics` answers: docs/operations.md has its meaning. */
export interface Report {
  at: number;
  hours: { start: number; messages: number; rooms: number; peakConnections: number }[];
  days: { start: number; activeUsers: number; activeUsersWeek: number }[];
}

/** A chart, and the table that says the same. */
export interface Figure {
  title: string;
  about: string;
  /** What the rows are: the heading of their column. */
  by: "Hour" | "Day";
  /** When each row begins, in milliseconds since 1970, rising. */
  starts: number[];
  series: { name: string; values: number[] }[];
}

/** What the page shows of a report. */
export function figures({ hours, days }: Report): Figure[] {
  const hourly = (title: string, about: string, name: string, key: "messages" | "rooms" | "peakConnections"): Figure => ({
    title,
    about,
    by: "Hour",
    starts: hours.map((hour) => hour.start),
    series: [{ name, values: hours.map((hour) => hour[key]) }],
  });
  return [
    {
      title: "Active people",
      about: "People who came or said something: on the day, and within the seven days of which it is the last.",
      by: "Day",
      starts: days.map((day) => day.start),
      series: [
        { name: "That day", values: days.map((day) => day.activeUsers) },
        { name: "That week", values: days.map((day) => day.activeUsersWeek) },
      ],
    },
    hourly("Messages", "Messages that were stored.", "Messages", "messages"),
    hourly("Rooms", "Rooms in which something was said.", "Rooms", "rooms"),
    hourly("Connections", "The most sockets that all nodes had together.", "Most at once", "peakConnections"),
  ];
}

/** When a row begins, in words; days and hours are those of UTC. */
export function when(start: number, by: Figure["by"]): string {
  const day: Intl.DateTimeFormatOptions = { weekday: "short", day: "numeric", month: "short", timeZone: "UTC" };
  const format: Intl.DateTimeFormatOptions = by === "Day" ? day : { ...day, hour: "2-digit", minute: "2-digit" };
  return new Intl.DateTimeFormat("en-GB", format).format(start);
}

/** The same in short, for an axis: a day by its date, and so is its first hour. */
export function mark(start: number): string {
  const format = (options: Intl.DateTimeFormatOptions) => new Intl.DateTimeFormat("en-GB", { ...options, timeZone: "UTC" }).format(start);
  return start % 86_400_000 === 0 ? format({ day: "numeric", month: "short" }) : format({ hour: "2-digit", minute: "2-digit" });
}

/** A chart in one sentence, for those who do not see it. */
export function summary({ title, by, starts, series }: Figure): string {
  const parts = series.map(({ name, values }) => {
    const most = Math.max(...values, 0);
    const at = starts[values.indexOf(most)];
    const peak = most > 0 && at !== undefined ? `, at most ${most} (${when(at, by)})` : "";
    return `${name}: ${values.at(-1) ?? 0} now${peak}`;
  });
  return `${title} by ${by.toLowerCase()}. ${parts.join(". ")}.`;
}

/** Why there is no report, in a sentence that says what to do. */
export function refusal(status: number): string {
  switch (status) {
    case 401:
      return "That is not the token. It is in the file that the server was started with (--admin-token-file).";
    case 403:
      return "This server has no token: start it with --admin-token-file.";
    default:
      return "The server could not answer. It is asked again in a minute.";
  }
}
