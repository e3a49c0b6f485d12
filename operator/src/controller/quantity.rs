//! Kubernetes quantities such as `500m`, `0.5` and `2Gi`. The API server normalizes them, so they
//! are compared by value.

/// A quantity, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity {
    thousandths: i128,
}

impl Quantity {
    /// Parses a quantity. `None` if it is invalid or finer than a thousandth.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, suffix) = text.split_at(end);
        let unit: i128 = match suffix {
            "m" => 1,
            "" => 1000,
            "k" => 1000_i128.pow(2),
            "M" => 1000_i128.pow(3),
            "G" => 1000_i128.pow(4),
            "T" => 1000_i128.pow(5),
            "P" => 1000_i128.pow(6),
            "Ki" => 1000 << 10,
            "Mi" => 1000 << 20,
            "Gi" => 1000 << 30,
            "Ti" => 1000 << 40,
            "Pi" => 1000 << 50,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() || whole.len() > 15 || fraction.len() > 9 || fraction.contains('.') {
            return None;
        }
        let scale = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
        let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
        let scaled = digits.checked_mul(unit)?;
        (scaled % scale == 0).then_some(Self { thousandths: scaled / scale })
    }

    /// The value, rounded down to an integer.
    #[must_use]
    pub fn whole(self) -> i64 {
        i64::try_from(self.thousandths / 1000).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_quantities_are_equal_in_any_notation() {
        for (one, other) in [("500m", "0.5"), ("1000m", "1"), ("1Gi", "1024Mi"), ("1.5Gi", "1536Mi"), ("1k", "1000")] {
            assert_eq!(Quantity::parse(one), Quantity::parse(other), "{one} {other}");
            assert!(Quantity::parse(one).is_some(), "{one}");
        }
        assert_ne!(Quantity::parse("1G"), Quantity::parse("1Gi"));
    }

    #[test]
    fn invalid_quantities_are_none() {
        for text in ["", "m", "1.2.3", "1x", "-1", "one", "0.0001"] {
            assert_eq!(Quantity::parse(text), None, "{text}");
        }
        assert_eq!(Quantity::parse("2Gi").map(Quantity::whole), Some(2 << 30));
    }
}
