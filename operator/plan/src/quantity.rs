//! Quantities as an API server prints them: `1000m` as `1`, `0.5` as `500m`, `1024Mi` as `1Gi`.
//!
//! An API server rewrites a quantity when it stores an object. What we want is written the same way from the start, or
//! it would differ from what is there forever. The algorithm is that of Kubernetes' `resource.Quantity`: the exact
//! value, rounded up to a billionth, with the largest suffix of its kind that leaves a whole number.

/// A billion: values are counted in billionths.
const NANO: i128 = 1_000_000_000;
const BINARY: [(&str, u32); 6] = [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];
const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];

/// How a quantity was written, which is how it is printed.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    Decimal,
    Binary,
    Exponent,
}

/// The form in which an API server prints the quantity; what is none, or too large to count, stays as it is.
pub(crate) fn canonical(text: &str) -> String {
    let trimmed = text.trim();
    match parse(trimmed) {
        Some((nanos, form)) => print(nanos, form),
        None => trimmed.to_owned(),
    }
}

fn parse(text: &str) -> Option<(i128, Form)> {
    let unsigned = text.trim_start_matches(['+', '-']);
    let negative = text.starts_with('-');
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let (factor, exponent, form) = scale(suffix)?;
    let power = exponent + 9 - i32::try_from(fraction.len()).ok()?;
    let scaled = digits.checked_mul(factor)?;
    let nanos = match power >= 0 {
        true => scaled.checked_mul(10i128.checked_pow(power.unsigned_abs())?)?,
        false => div_ceil(scaled, 10i128.checked_pow(power.unsigned_abs())?),
    };
    Some((if negative { -nanos } else { nanos }, form))
}

/// What a suffix multiplies by: a factor, a power of ten, and the form it belongs to.
fn scale(suffix: &str) -> Option<(i128, i32, Form)> {
    if let Some((_, bits)) = BINARY.iter().find(|(name, _)| *name == suffix) {
        return Some((1 << bits, 0, Form::Binary));
    }
    if let Some((_, power)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
        return Some((1, *power, Form::Decimal));
    }
    let power = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    Some((1, power, Form::Exponent))
}

fn div_ceil(value: i128, by: i128) -> i128 {
    value / by + i128::from(value % by > 0)
}

fn print(nanos: i128, form: Form) -> String {
    if nanos == 0 {
        return "0".to_owned();
    }
    let whole = nanos % NANO == 0;
    if form == Form::Binary && whole && (nanos / NANO).abs() >= 1024 {
        return print_binary(nanos / NANO);
    }
    let mut amount = nanos;
    let mut power = -9;
    while amount % 1000 == 0 && power < 18 {
        amount /= 1000;
        power += 3;
    }
    if form == Form::Exponent {
        return if power == 0 { amount.to_string() } else { format!("{amount}e{power}") };
    }
    let suffix = DECIMAL.iter().find(|(_, of)| *of == power).map_or("", |(name, _)| name);
    format!("{amount}{suffix}")
}

fn print_binary(mut amount: i128) -> String {
    let mut suffix = "";
    for (name, _) in BINARY {
        if amount % 1024 != 0 {
            break;
        }
        amount /= 1024;
        suffix = name;
    }
    format!("{amount}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn quantities_look_as_an_api_server_prints_them() {
        for (written, printed) in [
            ("0", "0"),
            ("0Gi", "0"),
            ("2", "2"),
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("0.5", "500m"),
            (".5", "500m"),
            ("1.", "1"),
            ("2000", "2k"),
            ("0.1m", "100u"),
            ("0.0000000001", "1n"),
            ("1024Mi", "1Gi"),
            ("1025Mi", "1025Mi"),
            ("1.5Gi", "1536Mi"),
            ("512Ki", "512Ki"),
            ("0.5Ki", "512"),
            ("10G", "10G"),
            ("10000M", "10G"),
            ("1e3", "1e3"),
            ("12e-1", "1200e-3"),
            ("-1024Ki", "-1Mi"),
            ("+1", "1"),
            ("nonsense", "nonsense"),
        ] {
            assert_eq!(canonical(written), printed, "{written}");
            assert_eq!(canonical(printed), printed, "{printed} is not stable");
        }
    }
}
