const encoder = new TextEncoder();

export function byteLength(text: string): number {
  return encoder.encode(text).length;
}

/** A lone surrogate can't be written as UTF-8, and the server's parser refuses it. */
export function wellFormed(text: string): string {
  return text.replace(/[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/g, "\uFFFD");
}

/** The rule for names of people and rooms; gives what is wrong, or nothing. */
export function nameProblem(name: string): string | undefined {
  const trimmed = name.trim();
  if (trimmed === "") return "Please enter a name.";
  if ([...trimmed].length > 64) return "That is too long: at most 64 characters.";
  if (/\p{Cc}/u.test(trimmed)) return "Line breaks and control characters can’t be part of a name.";
  return undefined;
}

/** The rule for topics of rooms; gives what is wrong, or nothing. */
export function topicProblem(topic: string): string | undefined {
  const trimmed = topic.trim();
  if ([...trimmed].length > 256) return "That is too long: at most 256 characters.";
  if (/\p{Cc}/u.test(trimmed)) return "Line breaks and control characters can’t be part of a topic.";
  return undefined;
}

export function initials(name: string): string {
  const words = name.trim().split(/\s+/);
  const first = [...(words[0] ?? "")][0] ?? "?";
  const last = words.length > 1 ? ([...(words.at(-1) ?? "")][0] ?? "") : "";
  return (first + last).toUpperCase();
}

/** A hue that stays the same for the same id. */
export function hue(id: string): number {
  let hash = 2166136261;
  for (const char of id) hash = Math.imul(hash ^ char.codePointAt(0)!, 16777619);
  return (hash >>> 0) % 360;
}
