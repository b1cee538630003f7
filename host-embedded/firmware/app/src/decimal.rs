//! Numbers as sensors write them: `-4.0`, `1016.6`.
//!
//! The standard library reads any decimal; its tables for that are 10 KiB,
//! which a device has better uses for.

/// Digits that are exact in a double, also without the point.
const DIGITS_MAX: usize = 15;

/// The double next to a decimal of at most 15 digits, without an exponent.
pub(crate) fn parse(text: &str) -> Option<f64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    if whole.is_empty() || fraction.is_empty() || whole.len() + fraction.len() > DIGITS_MAX {
        return None;
    }
    let mut scaled = 0_u64;
    let mut scale = 1_u64;
    for (digit, is_fraction) in
        whole.bytes().map(|digit| (digit, false)).chain(fraction.bytes().map(|digit| (digit, true)))
    {
        if !digit.is_ascii_digit() {
            return None;
        }
        scaled = scaled * 10 + u64::from(digit - b'0');
        if is_fraction {
            scale *= 10;
        }
    }
    // Both are below 2^53, so exact; the quotient is rounded once.
    let value = scaled as f64 / scale as f64;
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_is_read_as_the_standard_library_reads_it() {
        let mut number = 1_u64;
        for _ in 0..20_000 {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (whole, fraction) = (number >> 44, (number >> 20) % 1_000_000);
            for text in [
                format!("{whole}.{fraction:06}"),
                format!("-{}.{}", whole % 2000, fraction % 10),
                format!("{whole}"),
            ] {
                assert_eq!(parse(&text), text.parse().ok(), "{text}");
            }
        }
        assert_eq!(parse("-0.0").map(f64::to_bits), Some((-0.0_f64).to_bits()));
    }

    #[test]
    fn what_is_not_a_decimal_is_refused() {
        for text in ["", "-", ".", "1.", ".5", "1e3", "NaN", "inf", "+1", "--1", "1.2.3"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse("123456789.1234567"), None, "more digits than are exact");
    }
}
