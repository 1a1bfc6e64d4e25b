//! What must hold for whatever bytes come from outside: reading them never panics, and what is read is what it says.
//!
//! One file per target: what is read there, what must then be true, and some valid inputs to begin with. Three kinds of
//! inputs go through the same checks: valid ones that have been bent at random (`tests/bent.rs`), those that are kept in
//! `corpus/` (`tests/corpus.rs`), and those that libFuzzer finds by watching which code they reach (`cargo xtask fuzz`).

mod arguments;
mod continue_token;
mod frame;
mod gateway;
mod hello;
mod identity;
mod message;
mod record;
mod row;
mod schedule;
mod shard_map;
mod status;
mod stream;
mod topic;
mod workflow;

use std::fmt::Debug;

use greenroom_core::codec;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Something that reads bytes from outside.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name: of its file here, of its folder in `corpus/`, and on the command line.
    pub name: &'static str,
    /// Reads an input. Panics if something does not hold.
    pub check: fn(&[u8]),
    /// Valid inputs, and some that are only just none: bending finds a limit only from close by.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Hands the names of all targets to a macro. This is the one list of them.
#[macro_export]
macro_rules! for_every_target {
    ($callback:ident) => {
        $callback! {
            arguments,
            continue_token,
            frame,
            gateway,
            hello,
            identity,
            message,
            record,
            row,
            schedule,
            shard_map,
            status,
            stream,
            topic,
            workflow,
        }
    };
}

macro_rules! targets {
    ($($name:ident,)*) => {
        &[$(Target { name: stringify!($name), check: $name::check, seeds: $name::seeds }),*]
    };
}

/// Every target.
pub const TARGETS: &[Target] = for_every_target!(targets);

/// The target of this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().find(|target| target.name == name).copied()
}

/// The arguments of a method that takes none.
#[derive(Debug, Deserialize)]
struct Nothing {}

/// What the first byte chooses, and the rest; without bytes the first choice.
fn choice(input: &[u8], choices: u8) -> (u8, &[u8]) {
    input.split_first().map_or((0, input), |(first, rest)| (first % choices, rest))
}

/// An input that [`choice`] reads.
fn chosen(choice: u8, rest: impl AsRef<[u8]>) -> Vec<u8> {
    [&[choice], rest.as_ref()].concat()
}

/// Texts of nothing, of as many bytes as a limit allows, and of one more.
fn around(limit: usize) -> [String; 3] {
    [0, limit, limit + 1].map(|bytes| "a".repeat(bytes))
}

/// A stored value, in the form in which the store keeps it.
fn stored<T: Serialize>(value: &T) -> Vec<u8> {
    rmp_serde::to_vec_named(value).expect("it has nothing that MessagePack lacks")
}

/// Reads a stored value as the store does. What is read must come back the same when it is stored again.
fn read_stored<T: Serialize + DeserializeOwned + PartialEq + Debug>(input: &[u8]) -> Option<T> {
    let read: T = codec::read_stored(input).ok()?;
    let again: T = codec::read_stored(&stored(&read)).expect("what was stored can be read");
    assert_eq!(again, read);
    Some(read)
}

/// Checks what reads a form and writes it again, if it is one: what was written is a form, and always the same.
fn settles(rewrite: impl Fn(&[u8]) -> Option<Vec<u8>>, input: &[u8]) {
    if let Some(written) = rewrite(input) {
        assert_eq!(rewrite(&written).as_ref(), Some(&written), "it was written from {input:?}");
    }
}
