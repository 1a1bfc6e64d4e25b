//! Durations as they are written in attributes: `50ms`, `30s`, `5m`, `1h`.

use std::time::Duration;

/// `None` if the text is no duration, or none above zero.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_at);
    let number: u64 = number.parse().ok().filter(|&n| n > 0)?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(milliseconds).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_unit_is_read() {
        assert_eq!(parse("50ms"), Some(Duration::from_millis(50)));
        assert_eq!(parse("30s"), Some(Duration::from_secs(30)));
        assert_eq!(parse("5m"), Some(Duration::from_secs(300)));
        assert_eq!(parse("1h"), Some(Duration::from_secs(3_600)));
    }

    #[test]
    fn texts_without_a_positive_number_and_a_unit_are_refused() {
        for text in [
            "",
            "5",
            "m",
            "0s",
            "-1s",
            "1.5s",
            "5 m",
            "5min",
            "1d",
            "99999999999999999999s",
            "9999999999999999h",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
