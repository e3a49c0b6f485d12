import { folder } from "./place";

/** What the page keeps in the browser. A browser may forbid storage altogether: then it lasts as long as the page. */
export interface Store {
  get(key: string): string | undefined;
  set(key: string, value: string): void;
  remove(key: string): void;
}

export function browserStore(open: () => Storage): Store {
  const memory = new Map<string, string>();
  const guarded = <T>(use: (storage: Storage) => T): T | undefined => {
    try {
      return use(open());
    } catch {
      return undefined;
    }
  };
  return {
    get: (key) => guarded((s) => s.getItem(key)) ?? memory.get(key),
    set: (key, value) => {
      memory.set(key, value);
      guarded((s) => s.setItem(key, value));
    },
    remove: (key) => {
      memory.delete(key);
      guarded((s) => s.removeItem(key));
    },
  };
}

export const lasting = browserStore(() => localStorage);
export const ofThisTab = browserStore(() => sessionStorage);

/** Chats below different paths of one site share its storage: each has keys of its own, as one's token is not the other's. */
const SCOPE = folder() === "/" ? "" : folder();

export const KEYS = {
  name: `${SCOPE}chat.name`,
  resume: `${SCOPE}chat.resume`,
  theme: `${SCOPE}chat.theme`,
  outbox: `${SCOPE}chat.outbox`,
  drafts: `${SCOPE}chat.drafts`,
} as const;
