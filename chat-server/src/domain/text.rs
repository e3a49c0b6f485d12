//! What a name may hold, so that nobody poses as another by what is not seen.

use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategoryGroup, UnicodeEmoji, UnicodeGeneralCategory};
use unicode_security::confusable_detection::skeleton;

use super::fold::fold;

/// Why a text is not an identifier or a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidText {
    /// Nothing was left after trimming.
    #[error("must not be empty")]
    Empty,
    /// Longer than allowed; holds the limit in characters.
    #[error("must have at most {0} characters")]
    TooLong(usize),
    /// A control character, or one outside an identifier's alphabet.
    #[error("holds a character that is not allowed")]
    Character,
    /// A character that is not seen, or that changes the direction of others.
    #[error("holds an invisible character")]
    Invisible,
    /// More marks on one character than any script needs; holds the limit.
    #[error("must have at most {0} marks on a character")]
    Marks(usize),
    /// Only spaces, punctuation and signs.
    #[error("must have a letter, a digit or an emoji")]
    NothingToRead,
}

/// The most marks that may stand on one character: Vietnamese, Thai, Hebrew and Arabic need up to three.
const MAX_MARKS: usize = 3;
/// Joins emoji into one, such as a family.
const JOINER: char = '\u{200d}';
/// Asks for an emoji's colour.
const EMOJI_STYLE: char = '\u{fe0f}';

/// A name as it is stored: in Unicode's form C, so that one name has one spelling.
///
/// # Errors
/// What is wrong with it.
pub fn visible(name: &str) -> Result<String, InvalidText> {
    let name: String = name.nfc().collect();
    let (mut marks, mut before) = (0, ' ');
    for (place, character) in name.char_indices() {
        if is_mark(character) {
            marks += 1;
        } else {
            marks = 0;
        }
        if marks > MAX_MARKS {
            return Err(InvalidText::Marks(MAX_MARKS));
        }
        let after = name[place + character.len_utf8()..].chars().next().unwrap_or(' ');
        let joins = character == JOINER && is_emoji_part(before) && after.is_emoji_char();
        let styles = character == EMOJI_STYLE && before.is_emoji_char();
        if is_invisible(character) && !joins && !styles {
            return Err(InvalidText::Invisible);
        }
        before = character;
    }
    if name.chars().any(|character| character.is_alphanumeric() || is_pictograph(character)) {
        Ok(name)
    } else {
        Err(InvalidText::NothingToRead)
    }
}

/// What a name looks like folded, and as it is: two names that have a look in common are taken for each other
/// (UTS 39, in any case). For comparing only.
///
/// A capital `I` looks like a small `l`, so that `MAIL` has the looks of `mail` and of `MAlL`.
#[must_use]
pub fn looks(name: &str) -> [String; 2] {
    [fold(name).as_str(), name].map(|name| fold(&skeleton(name).collect::<String>()))
}

fn is_mark(character: char) -> bool {
    character.general_category_group() == GeneralCategoryGroup::Mark && !is_invisible(character)
}

/// An emoji that is not also a plain character, as `#` is.
fn is_pictograph(character: char) -> bool {
    character.is_emoji_char() && !character.is_ascii()
}

/// What a joiner may follow: an emoji, its skin tone or its style.
fn is_emoji_part(character: char) -> bool {
    character.is_emoji_char() || character == EMOJI_STYLE
}

/// The characters that Unicode calls Default_Ignorable_Code_Point, with the controls of direction among them, and those
/// that are drawn as nothing: DerivedCoreProperties.txt of Unicode 17. And those that are none and never will be.
fn is_invisible(character: char) -> bool {
    let is_none = u32::from(character) & 0xfffe == 0xfffe || matches!(character, '\u{fdd0}'..='\u{fdef}');
    is_none
        || matches!(character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_script_and_emoji_are_names() {
        for name in
            ["Zoë", "李雷", "สมชาย", "שָׁלוֹם", "مُحَمَّد", "Nguyễn", "अमित", "42", "👨‍👩‍👧", "❤️", "🏳️‍🌈 team", "Ann-Marie O’Neil"]
        {
            assert!(visible(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn what_is_not_seen_is_refused() {
        for name in [
            "a\u{202e}b",
            "Ad\u{200b}a",
            "\u{3164}",
            "Ada\u{2800}",
            "a\u{200d}b",
            "Ada\u{fe0f}",
            "\u{e0041}x",
            "a\u{10ffff}",
        ] {
            assert_eq!(visible(name), Err(InvalidText::Invisible), "{name:?}");
        }
        assert_eq!(visible(&format!("a{}", "\u{300}".repeat(60))), Err(InvalidText::Marks(MAX_MARKS)));
        for name in ["-", "...", "#", " \u{301} "] {
            assert_eq!(visible(name), Err(InvalidText::NothingToRead), "{name:?}");
        }
    }

    fn alike(one: &str, other: &str) -> bool {
        looks(one).iter().any(|look| looks(other).contains(look))
    }

    #[test]
    fn names_that_look_alike_have_a_look_in_common() {
        for (one, other) in [
            ("Lobby", "L\u{43e}bby"),
            ("lobby", "LОBBY"),
            ("Вoard", "Board"),
            ("Team 1", "Team l"),
            ("Ｋitchen", "Kitchen"),
            ("paypal", "раураl"),
            ("Kitchen", "KITСHEN"),
            ("Team I", "Team l"),
            ("Straße", "STRASSE"),
            ("Straße", "STRAẞE"),
            ("Muſik", "MUSIK"),
            ("Istanbul", "İSTANBUL"),
        ] {
            assert!(alike(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("Ann", "Anna"),
            ("Room 1", "Room 2"),
            ("Zoë", "Zoe"),
            ("李雷", "李磊"),
            ("Mail", "Mall"),
            ("Maße", "Mase"),
        ] {
            assert!(!alike(one, other), "{one} {other}");
        }
    }

    #[test]
    fn one_name_has_one_spelling() {
        assert_eq!(visible("Zoe\u{308}").unwrap(), visible("Zo\u{eb}").unwrap());
    }
}
