/**
 * The form in which names are searched: in any case (`STRASSE` is `Straße`), in any spelling of Unicode, with letters that
 * stand for others (`ﬁ`, `Ａ`) as those, as the server does it. JavaScript has no case folding: small, capital and small again
 * comes to the same.
 */
export function fold(text: string): string {
  const small = text.normalize("NFKD").toLowerCase().toUpperCase().toLowerCase();
  return small.replaceAll("ς", "σ").replaceAll("i\u0307", "i").replace(/\s+/gu, " ").trim().normalize("NFC");
}
