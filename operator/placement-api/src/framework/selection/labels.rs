//! Label selectors: `a=b,c!=d,e in (f,g),h notin (i),j,!k`.

use std::collections::BTreeSet;

use kube::core::{Expression, Selector};

use crate::framework::errors::ApiError;

/// Reads a selector.
pub(super) fn parse(text: &str) -> Result<Selector, ApiError> {
    split_terms(text).into_iter().map(str::trim).filter(|term| !term.is_empty()).map(expression).collect()
}

/// The parts between commas that stand outside parentheses.
fn split_terms(text: &str) -> Vec<&str> {
    let (mut terms, mut start, mut inside) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        match c {
            '(' => inside = true,
            ')' => inside = false,
            ',' if !inside => {
                terms.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms
}

fn expression(term: &str) -> Result<Expression, ApiError> {
    let malformed = |why: &str| {
        ApiError::bad_request(format!(
            "unable to parse requirement {term:?}: {why}; write KEY=VALUE, KEY!=VALUE, KEY in (A,B), KEY notin (A,B), KEY or !KEY"
        ))
    };
    let parsed = if let Some(list) = term.strip_suffix(')') {
        let (head, values) = list.split_once('(').ok_or_else(|| malformed("there is no '('"))?;
        let values: BTreeSet<String> = values.split(',').map(|value| value.trim().to_owned()).collect();
        match head.trim().rsplit_once(char::is_whitespace) {
            Some((key, "in")) => Expression::In(key.trim().to_owned(), values),
            Some((key, "notin")) => Expression::NotIn(key.trim().to_owned(), values),
            _ => return Err(malformed("before '(' stands neither in nor notin")),
        }
    } else if let Some((key, value)) = term.split_once("!=") {
        Expression::NotEqual(key.trim().to_owned(), value.trim().to_owned())
    } else if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        Expression::Equal(key.trim().to_owned(), value.trim().to_owned())
    } else if let Some(key) = term.strip_prefix('!') {
        Expression::DoesNotExist(key.trim().to_owned())
    } else {
        Expression::Exists(term.to_owned())
    };
    let (key, values) = parts(&parsed);
    if !is_key(key) {
        return Err(malformed("the key is not valid"));
    }
    if !values.into_iter().all(is_value) {
        return Err(malformed("a value is not valid"));
    }
    Ok(parsed)
}

fn parts(expression: &Expression) -> (&str, Vec<&str>) {
    match expression {
        Expression::In(key, values) | Expression::NotIn(key, values) => {
            (key, values.iter().map(String::as_str).collect())
        }
        Expression::Equal(key, value) | Expression::NotEqual(key, value) => (key, vec![value]),
        Expression::Exists(key) | Expression::DoesNotExist(key) => (key, Vec::new()),
    }
}

/// `[PREFIX/]NAME`, both of them as labels have them.
fn is_key(key: &str) -> bool {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let prefix_fits = prefix.is_none_or(|prefix| {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
        !prefix.is_empty() && prefix.len() <= 253 && prefix.chars().all(fits)
    });
    prefix_fits && !name.is_empty() && is_value(name)
}

fn is_value(value: &str) -> bool {
    let ends = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    value.len() <= 63
        && value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        && ends(value.chars().next())
        && ends(value.chars().last())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kube::core::SelectorExt;

    use super::*;

    #[test]
    fn every_operator_selects_what_it_says() {
        let labels: BTreeMap<String, String> =
            [("greenroom.dev/type", "Counter"), ("tier", "a")].map(|(k, v)| (k.into(), v.into())).into();
        for (text, expected) in [
            ("", true),
            ("greenroom.dev/type=Counter", true),
            ("greenroom.dev/type==Cart", false),
            ("greenroom.dev/type != Cart, tier", true),
            ("tier in (a, b)", true),
            ("tier notin (a,b)", false),
            ("colour notin (red)", true),
            ("!colour,tier in (c)", false),
            ("!colour", true),
            ("colour", false),
        ] {
            assert_eq!(parse(text).unwrap().matches(&labels), expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_refused() {
        for bad in ["a in b", "a within (b)", "a in (b", "=x", "a=b c", "ü=1", "a=-b", "x>1", "!"] {
            assert_eq!(parse(bad).unwrap_err().code, 400, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_again(key in "[a-z]{1,9}/[a-z0-9]{1,9}", values in proptest::collection::btree_set("[a-z0-9]{1,5}", 1..4)) {
            let selector: Selector = [
                Expression::In(key.clone(), values.clone()),
                Expression::NotIn(key.clone(), values),
                Expression::NotEqual(key.clone(), "x".into()),
                Expression::DoesNotExist(key),
            ].into_iter().collect();
            proptest::prop_assert_eq!(parse(&selector.to_string()).unwrap(), selector);
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,80}") {
            let _ = parse(&text);
        }
    }
}
