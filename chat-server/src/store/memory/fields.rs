//! The fields of a topic, in the order of their names.

use std::collections::BTreeMap;
use std::ops::Bound;

/// Fields that are kept in a sorted vector. Each user has two topics with one or two fields, and a tree allocates room
/// for eleven.
const FEW: usize = 8;

/// Names and values.
pub(super) enum Fields {
    /// In a sorted vector.
    Few(Vec<(Box<str>, Box<str>)>),
    /// In a tree, such as the members of a room.
    Many(BTreeMap<Box<str>, Box<str>>),
}

impl Default for Fields {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Fields {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        match self {
            Self::Few(few) => few.iter().find(|(other, _)| **other == *name).map(|(_, value)| &**value),
            Self::Many(many) => many.get(name).map(|value| &**value),
        }
    }

    pub(super) fn set(&mut self, name: String, value: Option<String>) {
        match (self, value) {
            (Self::Many(many), Some(value)) => {
                many.insert(name.into(), value.into());
            }
            (Self::Many(many), None) => {
                many.remove(&*name);
            }
            (this @ Self::Few(_), value) => this.set_few(name, value),
        }
    }

    fn set_few(&mut self, name: String, value: Option<String>) {
        let Self::Few(few) = self else { return };
        match (few.binary_search_by(|(other, _)| (**other).cmp(&name)), value) {
            (Ok(place), Some(value)) => few[place].1 = value.into(),
            (Ok(place), None) => drop(few.remove(place)),
            (Err(_), None) => {}
            (Err(_), Some(value)) if few.len() == FEW => {
                let mut many: BTreeMap<_, _> = std::mem::take(few).into_iter().collect();
                many.insert(name.into(), value.into());
                *self = Self::Many(many);
            }
            (Err(place), Some(value)) => {
                few.reserve_exact(1);
                few.insert(place, (name.into(), value.into()));
            }
        }
    }

    /// The fields from the bound on whose names start with `prefix`. The bound starts with it, too.
    pub(super) fn list<'a>(
        &'a self,
        from: Bound<&'a str>,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let within = move |name: &str| match from {
            Bound::Excluded(bound) => name > bound,
            Bound::Included(bound) => name >= bound,
            Bound::Unbounded => true,
        };
        let (few, many) = match self {
            Self::Few(few) => (Some(few.iter().map(|(name, value)| (&**name, &**value))), None),
            Self::Many(many) => {
                let many = many.range::<str, _>((from, Bound::Unbounded));
                (None, Some(many.map(|(name, value)| (&**name, &**value))))
            }
        };
        let from = few.into_iter().flatten().skip_while(move |(name, _)| !within(name));
        from.chain(many.into_iter().flatten()).take_while(move |(name, _)| name.starts_with(prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_many_are_listed_in_the_order_of_their_names() {
        let mut fields = Fields::default();
        let name = |number: usize| format!("m:{:02}", number * 7 % 20);
        for number in 0..20 {
            fields.set(format!("other:{number}"), Some(String::new()));
            fields.set(format!("other:{number}"), None);
            fields.set(name(number), Some(number.to_string()));
            fields.set(name(number), Some(format!("{number}!")));
            let mut expected: Vec<_> = (0..=number).map(|number| (name(number), format!("{number}!"))).collect();
            expected.sort();
            let found = fields.list(Bound::Included("m:"), "m:");
            let found: Vec<_> = found.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            assert_eq!(found, expected);
            let after = fields.list(Bound::Excluded(&expected[0].0), "m:").count();
            assert_eq!(after, number, "without the first");
            assert_eq!(fields.get(&name(number)), Some(&*format!("{number}!")));
        }
        assert_eq!(fields.list(Bound::Included("n"), "n").count(), 0);
        assert_eq!(fields.get("n"), None);
    }
}
