import { KEYS, lasting } from "../storage";

export type Theme = "system" | "light" | "dark";
export type Dialog = { kind: "create" } | { kind: "browse" } | { kind: "invite" | "settings"; room: string } | { kind: "profile" } | { kind: "signout" } | undefined;

/** What the page looks like, apart from what it says: theme, route, dialogs, width. */
class Ui {
  theme = $state<Theme>("system");
  /** Three columns fit; narrower, the people are a drawer. */
  wide = $state(false);
  /** One pane at a time. */
  narrow = $state(false);
  visible = $state(true);
  drawer = $state(false);
  peopleHidden = $state(false);
  dialog = $state<Dialog>();
  hash = $state("");
  /** Said to screen readers, and shown for a moment. */
  toast = $state<{ text: string; id: number } | undefined>();
  #toastTimer: ReturnType<typeof setTimeout> | undefined;

  start(): void {
    const kept = lasting.get(KEYS.theme);
    if (kept === "light" || kept === "dark") this.theme = kept;
    this.#watch("(min-width: 1120px)", (is) => {
      this.wide = is;
      if (is) this.drawer = false;
    });
    this.#watch("(max-width: 719.98px)", (is) => (this.narrow = is));
    const seen = (): void => void (this.visible = document.visibilityState === "visible");
    seen();
    document.addEventListener("visibilitychange", seen);
    const moved = (): void => void (this.hash = location.hash);
    moved();
    addEventListener("hashchange", moved);
  }

  setTheme(theme: Theme): void {
    this.theme = theme;
    if (theme === "system") {
      lasting.remove(KEYS.theme);
      delete document.documentElement.dataset["theme"];
    } else {
      lasting.set(KEYS.theme, theme);
      document.documentElement.dataset["theme"] = theme;
    }
  }

  /** `replace` where the step is not one to go back over. */
  go(hash: string, replace = false): void {
    if (location.hash === hash) return;
    if (replace) history.replaceState(null, "", hash || "#/");
    else history.pushState(null, "", hash || "#/");
    this.hash = location.hash;
  }

  say(text: string): void {
    clearTimeout(this.#toastTimer);
    this.toast = { text, id: (this.toast?.id ?? 0) + 1 };
    this.#toastTimer = setTimeout(() => (this.toast = undefined), 5000);
  }

  #watch(query: string, tell: (is: boolean) => void): void {
    const media = matchMedia(query);
    tell(media.matches);
    media.addEventListener("change", (event) => tell(event.matches));
  }
}

export const ui = new Ui();

export function roomHash(room: string): string {
  return `#/room/${encodeURIComponent(room)}`;
}

export type Route = { kind: "rooms" } | { kind: "room"; room: string } | { kind: "invite"; token: string };

export function parseHash(hash: string): Route {
  const [, kind, rest] = /^#\/(room|invite)\/(.+)$/.exec(hash) ?? [];
  try {
    if (kind === "room" && rest) return { kind: "room", room: decodeURIComponent(rest) };
    if (kind === "invite" && rest) return { kind: "invite", token: decodeURIComponent(rest) };
  } catch {
    // Not something we wrote.
  }
  return { kind: "rooms" };
}
