//! Field selectors: `spec.type=Counter,status.node!=shop-1`.

use std::fmt;

use crate::framework::errors::ApiError;

/// All of these must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSelector(Vec<Requirement>);

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// The field, such as `spec.type`.
    pub field: String,
    /// What it is compared with.
    pub value: String,
    /// Whether it must be equal, or must not.
    pub equal: bool,
}

impl FieldSelector {
    /// Reads a selector whose fields are among `known`.
    pub fn parse(text: &str, known: &[&str]) -> Result<Self, ApiError> {
        let mut requirements = Vec::new();
        for term in split_terms(text).into_iter().filter(|term| !term.is_empty()) {
            let requirement = Requirement::parse(term)?;
            if !known.contains(&requirement.field.as_str()) {
                return Err(ApiError::bad_request(format!(
                    "field selector {:?} is not supported; the fields are {}",
                    requirement.field,
                    known.join(", ")
                )));
            }
            requirements.push(requirement);
        }
        Ok(Self(requirements))
    }

    /// The value that the field must have, if only one can match.
    pub fn exactly(&self, field: &str) -> Option<&str> {
        self.0.iter().find(|r| r.equal && r.field == field).map(|r| r.value.as_str())
    }

    /// Whether an object with these fields is selected.
    pub fn matches(&self, field: impl Fn(&str) -> String) -> bool {
        self.0.iter().all(|r| (field(&r.field) == r.value) == r.equal)
    }

    /// The requirements, in the order in which they were written.
    pub fn requirements(&self) -> &[Requirement] {
        &self.0
    }
}

impl Requirement {
    fn parse(term: &str) -> Result<Self, ApiError> {
        let malformed = || {
            ApiError::bad_request(format!(
                "invalid field selector: {term:?}; write FIELD=VALUE or FIELD!=VALUE, and \\ before , = and \\ in a value"
            ))
        };
        let (at, operator) = operator(term).ok_or_else(malformed)?;
        let value = unescape(&term[at + operator.len()..]).ok_or_else(malformed)?;
        let field = term[..at].trim().to_owned();
        if field.is_empty() {
            return Err(malformed());
        }
        Ok(Self { field, value, equal: operator != "!=" })
    }
}

/// Where the operator stands, and which it is: the first that is not escaped.
fn operator(term: &str) -> Option<(usize, &'static str)> {
    let mut escaped = false;
    for (at, c) in term.char_indices() {
        if escaped {
            escaped = false;
            continue;
        }
        escaped = c == '\\';
        if let Some(operator) = ["!=", "==", "="].into_iter().find(|op| term[at..].starts_with(op)) {
            return Some((at, operator));
        }
    }
    None
}

/// The parts between commas that are not escaped.
fn split_terms(text: &str) -> Vec<&str> {
    let (mut terms, mut start, mut escaped) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        if c == ',' && !escaped {
            terms.push(&text[start..at]);
            start = at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    terms.push(&text[start..]);
    terms
}

/// `None` if something else than `,`, `=` and `\` is escaped, or one of the first two is not.
fn unescape(value: &str) -> Option<String> {
    let mut plain = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next()? {
                c @ ('\\' | ',' | '=') => plain.push(c),
                _ => return None,
            },
            ',' | '=' => return None,
            c => plain.push(c),
        }
    }
    Some(plain)
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=")
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, r) in self.0.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            write!(f, "{comma}{}{}{}", r.field, if r.equal { "=" } else { "!=" }, escape(&r.value))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["spec.type", "spec.key"];

    fn parse(text: &str) -> Result<FieldSelector, ApiError> {
        FieldSelector::parse(text, KNOWN)
    }

    #[test]
    fn terms_are_joined_by_and() {
        let selector = parse("spec.type==Counter, spec.key!=a").unwrap();
        let with = |ty: &'static str, key: &'static str| {
            selector.matches(|field| if field == "spec.type" { ty.into() } else { key.into() })
        };
        assert!(with("Counter", "b"));
        assert!(!with("Counter", "a") && !with("Cart", "b"));
        assert_eq!(selector.exactly("spec.type"), Some("Counter"));
        assert_eq!(selector.exactly("spec.key"), None);
        assert_eq!(parse("").unwrap(), FieldSelector::default());
    }

    #[test]
    fn a_key_may_hold_what_the_grammar_needs() {
        let selector = parse(r"spec.key=a\,b\=c\\d").unwrap();
        assert_eq!(selector.exactly("spec.key"), Some(r"a,b=c\d"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let error = parse("spec.colour=red").unwrap_err();
        assert_eq!(
            error.message,
            r#"field selector "spec.colour" is not supported; the fields are spec.type, spec.key"#
        );
        for bad in ["spec.type", "=x", r"spec.key=a\b", "spec.key=a=b", r"spec.key=a\"] {
            assert_eq!(parse(bad).unwrap_err().code, 400, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_again(key in ".{0,40}", ty in "[A-Za-z.]{1,9}", equal: bool) {
            let selector = FieldSelector(vec![
                Requirement { field: "spec.key".into(), value: key, equal },
                Requirement { field: "spec.type".into(), value: ty, equal: !equal },
            ]);
            proptest::prop_assert_eq!(parse(&selector.to_string()).unwrap(), selector);
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,80}") {
            let _ = parse(&text);
        }
    }
}
