//! Where a list of the placement API goes on: tokens that clients hand back, and the selectors that they are bound to.

use greenroom_placement_api::framework::continuation::{ContinueKey, LIFETIME_SECONDS};
use greenroom_placement_api::framework::{Selection, Version};

use crate::{around, choice, chosen};

const FIELDS: [&str; 3] = ["metadata.name", "spec.key", "spec.type"];
const NOW: u64 = 1_790_000_000;
/// A label's name and its value have at most so many characters each.
const LONGEST_LABEL: usize = 63;

/// A token that nobody has signed, or the selectors of a list: namespace, labels and fields, a line each.
pub(crate) fn check(input: &[u8]) {
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

    assert!(
        selection.fields.requirements().iter().all(|wanted| FIELDS.contains(&&*wanted.field)),
        "{fields:?}"
    );
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_./ ,!=()".contains(c);
    assert!(labels.chars().all(allowed), "{labels:?}");
    let names = labels.split(|c: char| " ,!=()".contains(c)).flat_map(|key| key.rsplit('/').take(1));
    names.for_each(|name| assert!(name.len() <= LONGEST_LABEL, "{labels:?}"));

    let namespace = selection.namespace.as_deref();
    let elsewhere = |other: Option<&str>| {
        (namespace != other, Selection { namespace: other.map(str::to_owned), ..selection.clone() })
    };
    let labels_more = parsed(&format!("{labels},more=than"), "").labels;
    let fields_more = parsed("", &format!("{fields},spec.key=more")).fields;
    let others = [
        elsewhere(None),
        elsewhere(Some("elsewhere")),
        (true, Selection { labels: labels_more, ..selection.clone() }),
        (true, Selection { fields: fields_more, ..selection.clone() }),
    ];
    let cursor = (labels, fields);
    let token = key().token(Version::from_number(7), &cursor, &selection, NOW).expect("it is text");
    assert_eq!(opened(&token, &again), Some((Version::from_number(7), cursor)));
    let until = NOW + LIFETIME_SECONDS;
    assert!(
        opened_at(&token, &selection, until).is_some() && opened_at(&token, &selection, until + 1).is_none()
    );
    for (differs, other) in others {
        assert_eq!(opened(&token, &other).is_none(), differs, "{other:?}");
    }
    let mut cut = token;
    cut.pop();
    assert_eq!(opened(&cut, &selection), None);
}

fn parsed(labels: &str, fields: &str) -> Selection {
    Selection::parse(None, labels, fields, &FIELDS).expect("one more requirement makes a selection too")
}

fn opened(token: &str, selection: &Selection) -> Option<(Version, (String, String))> {
    opened_at(token, selection, NOW)
}

fn opened_at(token: &str, selection: &Selection, now: u64) -> Option<(Version, (String, String))> {
    key().open(token, selection, now).ok()
}

fn key() -> ContinueKey {
    ContinueKey::new(b"of this target only")
}

/// Tokens of another key, and selectors, some of them just too long or of a field that cannot be selected by.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let token = |selection| {
        ContinueKey::new(b"another")
            .token(Version::from_number(7), ("a", "b"), &selection, NOW)
            .expect("it is text")
    };
    let lists = [
        "\n\n",
        "shop\na=b,c in (d,e),!f\nspec.type=Counter",
        "shop\n\nspec.key=a\\,b\\=c\\\\,spec.type!=A",
        "\n\nspec.other=a",
    ];
    let labels = around(LONGEST_LABEL)
        .map(|name| [format!("\n{name}=a\n"), format!("\na={name}\n"), format!("\na/{name}\n")]);
    let tokens = [token(Selection::default())].map(|token| chosen(0, token));
    let lists = lists.map(str::to_owned).into_iter().chain(labels.into_iter().flatten());
    tokens.into_iter().chain(lists.map(|list| chosen(1, list))).collect()
}
