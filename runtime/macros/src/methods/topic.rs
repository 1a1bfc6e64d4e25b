//! `#[method(topic = "…")]`: which topics a type's method may listen to, and what such a method looks like.
//!
//! The rules for patterns are those of `greenroom_core::topics`, checked here so that a wrong one is a compile error.

use syn::{LitStr, Type};

use super::{Argument, Output};
use crate::errors::Errors;

const MAX_BYTES: usize = 256;
const MAX_SEGMENTS: usize = 16;

/// The pattern, if everything about it is right.
pub(super) fn listens(
    topic: &LitStr,
    arguments: &[Argument],
    output: &Output,
    errors: &mut Errors,
) -> Option<String> {
    let before = errors.count();
    if let Some(wrong) = mistake(&topic.value()) {
        errors.at(topic, wrong);
    }
    let takes_both = matches!(arguments, [name, _] if is_string(&name.ty));
    if !(arguments.len() == 1 || takes_both) {
        errors.at(
            topic,
            "a method that listens takes the message, or the name of the topic and the message: `(&mut self, line: Line)` \
             or `(&mut self, topic: String, line: Line)`",
        );
    }
    if !matches!(&output.reply, Type::Tuple(tuple) if tuple.elems.is_empty()) {
        errors.at(
            topic,
            "nobody reads what a method returns that a type listens with: return `()` or `Result<()>`",
        );
    }
    (errors.count() == before).then(|| topic.value())
}

fn mistake(pattern: &str) -> Option<&'static str> {
    let segments: Vec<&str> = pattern.split('/').collect();
    if pattern.len() > MAX_BYTES || segments.len() > MAX_SEGMENTS {
        return Some("a pattern has at most 256 bytes and 16 segments: use a shorter one");
    }
    if matches!(segments[0], "*" | "**" | "{key}") {
        return Some("the first segment names the channel: write it out, as in \"zone/{key}/died\"");
    }
    if segments.iter().filter(|segment| **segment == "{key}").count() > 1 {
        return Some("an actor has one key: write `{key}` once, and `*` for other segments");
    }
    if segments.iter().rev().skip(1).any(|segment| *segment == "**") {
        return Some("`**` stands for all that follows: end the pattern there");
    }
    let is_wild = |segment: &str| matches!(segment, "*" | "**" | "{key}");
    let is_plain = |segment: &str| {
        !segment.is_empty() && !segment.contains(|c: char| matches!(c, '*' | '{' | '}') || c.is_control())
    };
    let wrong = segments.iter().any(|segment| !is_wild(segment) && !is_plain(segment));
    wrong.then_some("a segment is a plain text, `*`, `{key}` or, at the end, `**`: as in \"zone/{key}/died\"")
}

fn is_string(ty: &Type) -> bool {
    match ty {
        Type::Path(ty) => ty.path.segments.last().is_some_and(|segment| segment.ident == "String"),
        _ => false,
    }
}
