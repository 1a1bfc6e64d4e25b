//! Where a list of the placement API goes on: tokens that clients hand back, and the selectors that they are bound to.

use greenroom_placement_api::framework::continuation::ContinueKey;
use greenroom_placement_api::framework::{Selection, Version};

use crate::{choice, chosen};

const FIELDS: [&str; 3] = ["metadata.name", "spec.key", "spec.type"];
const NOW: u64 = 1_790_000_000;

/// A token that nobody has signed, or the selectors of a list: namespace, labels and fields, a line each.
pub fn check(input: &[u8]) {
    let (form, data) = choice(input, 2);
    let text = String::from_utf8_lossy(data);
    match form {
        0 => assert!(opened(&text, &Selection::default()).is_none(), "{text:?} is believed"),
        _ => {
            let mut lines = text.splitn(3, '\n').map(str::to_owned);
            let mut line = || lines.next().unwrap_or_default();
            of_a_list(line(), &line(), &line());
        }
    }
}

/// The token of a list is good for that list and for no other.
fn of_a_list(namespace: String, labels: &str, fields: &str) {
    let namespace = Some(namespace).filter(|name| !name.is_empty());
    let Ok(selection) = Selection::parse(namespace.clone(), labels, fields, &FIELDS) else { return };
    let (labels, fields) = (selection.labels.to_string(), selection.fields.to_string());
    let again = Selection::parse(namespace, &labels, &fields, &FIELDS).expect("it was a selection");
    assert_eq!(again.canonical(), selection.canonical(), "what is written is what was read");

    let cursor = (labels, fields);
    let token = key().token(Version::from_number(7), &cursor, &selection, NOW).expect("it is text");
    assert_eq!(opened(&token, &again), Some((Version::from_number(7), cursor)));
    let elsewhere = Selection { namespace: Some("elsewhere".into()), ..selection.clone() };
    assert_eq!(opened(&token, &elsewhere).is_some(), selection.namespace == elsewhere.namespace);
    let mut cut = token;
    cut.pop();
    assert_eq!(opened(&cut, &selection), None);
}

fn opened(token: &str, selection: &Selection) -> Option<(Version, (String, String))> {
    key().open(token, selection, NOW).ok()
}

fn key() -> ContinueKey {
    ContinueKey::new(b"of this target only")
}

/// Tokens of another key, and selectors.
pub fn seeds() -> Vec<Vec<u8>> {
    let token = |selection| {
        ContinueKey::new(b"another")
            .token(Version::from_number(7), ("a", "b"), &selection, NOW)
            .expect("it is text")
    };
    let lists =
        ["\n\n", "shop\na=b,c in (d,e),!f\nspec.type=Counter", "shop\n\nspec.key=a\\,b\\=c\\\\,spec.type!=A"];
    let tokens = [token(Selection::default())].map(|token| chosen(0, token));
    tokens.into_iter().chain(lists.map(|list| chosen(1, list))).collect()
}
