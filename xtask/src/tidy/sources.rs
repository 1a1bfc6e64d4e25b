//! Every Rust file says in its first line what it is for, and files and functions stay short enough to be read.
//!
//! Functions are found by their indentation, not by a parser: rustfmt has made sure that a function ends at the
//! first closing brace that stands as far to the left as its first line.

use super::{GENERATED, assert_none, tracked_texts};

const MAX_FILE: usize = 600;
const MAX_FUNCTION: usize = 100;

/// What may be longer, `path` or `path::function`, with its length and the reason. A ratchet: what has become
/// shorter must be written down here as shorter, and what fits the limit leaves the list.
const LONGER: &[(&str, usize, &str)] = &[];

/// A file or function and its number of lines.
type Measured = (String, usize);

fn too_long(path: &str, text: &str) -> Vec<Measured> {
    let mut found = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    if lines.len() > MAX_FILE {
        found.push((path.to_owned(), lines.len()));
    }
    for (first, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let length = function_length(&lines[first..]);
        if length > MAX_FUNCTION {
            found.push((format!("{path}::{name}"), length));
        }
    }
    found
}

/// The name of the function whose first line this is.
fn function_name(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace().skip_while(|word| {
        word.starts_with("pub") || matches!(*word, "async" | "const" | "unsafe" | "extern" | "\"C\"")
    });
    if words.next()? != "fn" {
        return None;
    }
    words.next()?.split(['(', '<']).next()
}

/// The number of lines of the function that begins with the first of `lines`.
fn function_length(lines: &[&str]) -> usize {
    let indentation = |line: &str| line.len() - line.trim_start().len();
    let left = indentation(lines[0]);
    let end = lines.iter().position(|line| {
        let ends = line.ends_with(';') || line.ends_with('}');
        indentation(line) == left && ends && !line.trim_start().starts_with("//")
    });
    end.map_or(0, |end| end + 1)
}

/// Which of the measured are not on the list as they are, and which entries of the list are out of date.
fn judge(measured: &[Measured], allowed: &[(&str, usize, &str)]) -> Vec<String> {
    let is_allowed = |(place, length): &Measured| allowed.iter().any(|(p, l, _)| p == place && l >= length);
    let grown = measured
        .iter()
        .filter(|found| !is_allowed(found))
        .map(|(place, length)| format!("{place} has {length} lines: split it by what its parts are for"));
    let loose = allowed
        .iter()
        .filter(|(place, length, _)| !measured.contains(&((*place).to_owned(), *length)))
        .map(|(place, ..)| format!("{place} has become shorter: say so in {}", file!()));
    grown.chain(loose).collect()
}

fn our_sources() -> Vec<(String, String)> {
    let mut sources = tracked_texts(".rs");
    sources.retain(|(path, _)| !path.starts_with(GENERATED));
    assert!(!sources.is_empty());
    sources
}

#[test]
fn every_source_file_opens_with_its_purpose() {
    let headless = our_sources().into_iter().filter(|(path, text)| {
        // What the macros must refuse is shown as a user would write it.
        !text.starts_with("//! ") && !path.contains("/tests/ui/")
    });
    assert_none(headless.map(|(path, _)| format!("{path}: open it with `//!` and what it is for")).collect());
}

#[test]
fn files_and_functions_fit_their_limits() {
    let measured: Vec<_> = our_sources().iter().flat_map(|(path, text)| too_long(path, text)).collect();
    assert_none(judge(&measured, LONGER));
}

#[test]
fn a_long_function_and_a_long_file_are_found() {
    let body = "        work();\n".repeat(MAX_FUNCTION - 2);
    let fits = format!("impl X {{\n    pub(crate) async fn f<T>(&self) {{\n{body}    }}\n}}\n");
    assert_eq!(too_long("x.rs", &fits), []);
    let long = fits.replace("    }\n", "        more();\n    }\n");
    assert_eq!(too_long("x.rs", &long), [("x.rs::f".to_owned(), MAX_FUNCTION + 1)]);
    assert_eq!(too_long("x.rs", &"//\n".repeat(MAX_FILE + 1)), [("x.rs".to_owned(), MAX_FILE + 1)]);
}

#[test]
fn a_function_without_a_body_does_not_run_into_the_next() {
    assert_eq!(function_length(&["    fn a(&self);", "    fn b() {", "    }"]), 1);
    assert_eq!(function_length(&["fn a(", "    b: u8,", ") -> u8;", "}"]), 3);
    assert_eq!(function_length(&["fn a() {}", "}"]), 1);
}

#[test]
fn the_list_of_exceptions_only_gets_tighter() {
    let measured = [("x.rs".to_owned(), 700)];
    assert_eq!(judge(&measured, &[("x.rs", 700, "why")]), [""; 0]);
    assert_eq!(judge(&measured, &[]).len(), 1);
    assert_eq!(judge(&measured, &[("x.rs", 690, "why")]).len(), 2);
    assert_eq!(judge(&measured, &[("x.rs", 800, "why")]).len(), 1);
}
