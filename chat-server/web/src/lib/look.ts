// What a name looks like, so that people whose names look alike can be told apart. Rougher than the server's rule for rooms:
// to tell two people apart without need does no harm.

import { fold } from "./fold";

/** Letters of other scripts that are drawn as Latin ones, each before the one that it looks like. */
const ALIKE =
  "аaеeоoрpсcуyхxіiјjѕsһhԁdԛqԝwӏlАAВBЕEКKМMНHОOРPСCТTУYХXІIЈJЅSԚQԜWӀl" +
  "αaοoνvρpιiγyΑAΒBΕEΖZΗHΙIΚKΜMΝNΟOΡPΤTΥYΧX" +
  "0o1l|lIl";

const LATIN = new Map<string, string>();
for (let letters = [...ALIKE], i = 0; i < letters.length; i += 2) LATIN.set(letters[i]!, letters[i + 1]!);

/** Two names with one look are taken for each other. For comparing only. */
export function look(name: string): string {
  const plain = name.normalize("NFKD").replace(/\p{M}/gu, "").replace(/\s+/gu, " ").trim();
  return fold(Array.from(plain, (letter) => LATIN.get(letter) ?? letter).join(""));
}

/** A short piece of an id, to stand behind a name. */
export function tag(id: string): string {
  return id.slice(1, 4);
}
