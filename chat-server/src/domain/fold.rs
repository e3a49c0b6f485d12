//! The forms in which names are compared: those that are the same to people have one form.

use icu_casemap::{CaseMapper, CaseMapperBorrowed};
use unicode_normalization::UnicodeNormalization;

const CASES: CaseMapperBorrowed<'static> = CaseMapper::new();
/// What the capital `İ` of Turkish folds to beside an `i`.
const DOT_ABOVE: char = '\u{307}';

/// The form in which names are compared for being the same: in any case (full case folding), in any spelling of Unicode
/// (canonical equivalence), with any white space between words. The `i` of Turkish is one with and without its dot: what is
/// capital for one is small for the other, and nobody knows in which language a name is.
#[must_use]
pub fn fold(name: &str) -> String {
    if name.is_ascii() {
        return one_spaced(&name.to_ascii_lowercase());
    }
    let folded: String = CASES.fold_string(&name.nfd().collect::<String>()).nfd().collect();
    let mut plain = String::with_capacity(folded.len());
    for character in folded.chars() {
        match character {
            DOT_ABOVE if plain.ends_with('i') => {}
            'ı' => plain.push('i'),
            other => plain.push(other),
        }
    }
    one_spaced(&plain).nfc().collect()
}

/// The form in which names are searched: as [`fold`], and with letters that stand for others (`ﬁ`, `Ａ`) as those.
#[must_use]
pub fn search_form(text: &str) -> String {
    if text.is_ascii() { fold(text) } else { fold(&text.nfkd().collect::<String>()) }
}

fn one_spaced(text: &str) -> String {
    let mut words = text.split_whitespace();
    let mut spaced = String::with_capacity(text.len());
    spaced.extend(words.next());
    words.for_each(|word| spaced.extend([" ", word]));
    spaced
}

#[cfg(test)]
mod tests {
    use proptest::prelude::any;

    use super::*;

    #[test]
    fn names_that_are_the_same_to_people_have_one_form() {
        for names in [
            &["Straße", "STRASSE", "STRAẞE", "strasse"][..],
            &["ΟΔΟΣ", "οδος", "οδοσ"],
            &["ﬁnance", "FINANCE"],
            &["Muſik", "MUSIK"],
            &["ǅungla", "ǆungla", "ǄUNGLA"],
            &["İstanbul", "istanbul", "ISTANBUL", "ıstanbul", "i\u{307}stanbul"],
            &["Zoë", "Zoe\u{308}", "ZOË", "ZOE\u{308}"],
            &["µ-lab", "Μ-LAB"],
            &["ᾳ", "ΑΙ", "ᾼ"],
            &["ŉ", "ʼN"],
            &["Ꭰ", "ꭰ"],
            &["한국", "\u{1112}\u{1161}\u{11ab}\u{1100}\u{116e}\u{11a8}"],
            &["Åse", "Åse", "A\u{30a}se"],
            &["Tea  Room", "tea\u{a0}room", "TEA\u{3000}ROOM"],
        ] {
            for name in names {
                assert_eq!(fold(name), fold(names[0]), "{name} {}", names[0]);
            }
        }
        for (one, other) in [("Maße", "Mase"), ("resume", "résumé"), ("Ann", "Anna"), ("tearoom", "tea room")] {
            assert_ne!(fold(one), fold(other), "{one} {other}");
        }
    }

    #[test]
    fn a_search_finds_letters_that_stand_for_others() {
        for (one, other) in [("ｆｉｎａｎｃｅ", "finance"), ("ﬁnance", "FINANCE"), ("ﾃｽﾄ", "テスト"), ("№ 1", "no 1")]
        {
            assert_eq!(search_form(one), search_form(other), "{one} {other}");
        }
        assert_ne!(fold("m²"), fold("m2"), "two rooms may be called so");
    }

    proptest::proptest! {
        #[test]
        fn a_form_is_its_own_form(name in any::<String>()) {
            let folded = fold(&name);
            proptest::prop_assert_eq!(fold(&folded), folded.clone());
            proptest::prop_assert_eq!(fold(&name.nfd().collect::<String>()), folded.clone());
            proptest::prop_assert_eq!(fold(&name.to_uppercase()), fold(&name.to_uppercase().to_lowercase()));
            proptest::prop_assert_eq!(search_form(&search_form(&name)), search_form(&name));
        }
    }
}
