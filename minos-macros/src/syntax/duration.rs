//! Durations such as `"500ms"`, `"5s"`, `"10m"`, `"2h"`, or `"3d"`.

use syn::LitStr;

use crate::diag::Diagnostics;

/// The milliseconds that a text names.
pub(crate) fn duration(text: &LitStr, diag: &mut Diagnostics) -> Option<u64> {
    match millis(&text.value()) {
        Ok(millis) => Some(millis),
        Err(why) => {
            let value = text.value();
            diag.error(text.span(), format_args!("invalid duration `{value}`: {why}"))
                .help("write a whole number and its unit, such as `\"500ms\"`, `\"5s\"`, `\"10m\"`, `\"2h\"`, or `\"3d\"`");
            None
        }
    }
}

fn millis(text: &str) -> Result<u64, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err("it does not start with a number".to_owned());
    }
    let factor: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "" => return Err("it has no unit".to_owned()),
        _ => return Err(format!("`{unit}` is no unit")),
    };
    let millis = number.parse().ok().and_then(|n: u64| n.checked_mul(factor));
    match millis {
        Some(0) => Err("it is zero".to_owned()),
        // A hundred years: more is a typing error, and overflows no arithmetic of a clock.
        Some(millis) if millis <= 36_525 * 86_400_000 => Ok(millis),
        _ => Err("it is longer than a hundred years".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::millis;

    #[test]
    fn each_unit_counts_in_milliseconds() {
        assert_eq!(millis("500ms"), Ok(500));
        assert_eq!(millis("5s"), Ok(5_000));
        assert_eq!(millis("10m"), Ok(600_000));
        assert_eq!(millis("2h"), Ok(7_200_000));
        assert_eq!(millis("3d"), Ok(259_200_000));
    }

    #[test]
    fn everything_else_says_why() {
        for (text, why) in [
            ("", "it does not start with a number"),
            ("soon", "it does not start with a number"),
            ("-5s", "it does not start with a number"),
            ("5", "it has no unit"),
            ("5 s", "` s` is no unit"),
            ("1.5s", "`.5s` is no unit"),
            ("0s", "it is zero"),
            ("99999999999999999999s", "it is longer than a hundred years"),
            ("40000d", "it is longer than a hundred years"),
        ] {
            assert_eq!(millis(text), Err(why.to_owned()), "{text}");
        }
    }
}
