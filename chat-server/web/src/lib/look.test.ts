import { expect, test } from "vitest";
import { look } from "./look";
import { People } from "./state/people.svelte";

test("names that look alike have one look", () => {
  for (const [one, other] of [["Ann", "ann"], ["Ann", "\u0410nn"], ["paypal", "\u0440\u0430ypa1"], ["Zoe\u0308", "Zo\u00eb"], ["Ada  B", "Ada B"], ["Strauß", "STRAUSS"]] as const) {
    expect(look(one)).toBe(look(other));
  }
  expect(look("Ann")).not.toBe(look("Anna"));
  expect(look("李雷")).not.toBe(look("李磊"));
});

test("people whose names look alike have a tag, and only they", () => {
  const people = new People(() => Promise.reject(new Error("nothing is asked")));
  const [ann, eve] = [{ id: "u3f2x", name: "Ann", guest: true }, { id: "uQ7bx", name: "\u0410nn", guest: true }];
  people.know(ann);
  expect(people.label(ann)).toBe("Ann");
  people.know(eve);
  expect(people.label(ann)).toBe("Ann ·3f2");
  expect(people.label(eve)).toBe("\u0410nn ·Q7b");
  people.know({ ...eve, name: "Eve" });
  expect(people.label(ann)).toBe("Ann");
});
