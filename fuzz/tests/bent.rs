//! Valid inputs that have been bent: bits turned, bytes put in, taken out and repeated, the end cut off.
//!
//! Each run takes new ones; what once failed is kept in `bent.proptest-regressions` beside this file and tried first,
//! always. `PROPTEST_CASES=10000000` goes on for a night. What bending finds only by chance, `cargo xtask fuzz` looks for.

use std::sync::LazyLock;

use greenroom_core::{ContentType, Payload};
use greenroom_fuzz::{Target, target};
use proptest::prelude::*;
use proptest::sample::Index;

/// What is done to an input.
#[derive(Debug, Clone)]
enum Bend {
    Flip(Index, u8),
    Put(Index, Vec<u8>),
    Cut(Index, usize),
    Repeat(Index, usize),
    Truncate(Index),
}

fn bends() -> impl Strategy<Value = Vec<Bend>> {
    let bend = prop_oneof![
        4 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Bend::Flip(at, byte)),
        2 => (any::<Index>(), prop::collection::vec(any::<u8>(), 1..12)).prop_map(|(at, new)| Bend::Put(at, new)),
        2 => (any::<Index>(), 1usize..24).prop_map(|(at, count)| Bend::Cut(at, count)),
        1 => (any::<Index>(), 1usize..2000).prop_map(|(at, count)| Bend::Repeat(at, count)),
        1 => any::<Index>().prop_map(Bend::Truncate),
    ];
    prop::collection::vec(bend, 0..8)
}

fn bent(mut input: Vec<u8>, bends: &[Bend]) -> Vec<u8> {
    for bend in bends {
        let len = input.len();
        match bend {
            Bend::Put(at, new) => drop(input.splice(at.index(len + 1).., new.iter().copied()).count()),
            _ if len == 0 => {}
            Bend::Flip(at, byte) => input[at.index(len)] ^= byte,
            Bend::Cut(at, count) => {
                let from = at.index(len);
                input.drain(from..len.min(from + count));
            }
            Bend::Repeat(at, count) => {
                let (from, byte) = (at.index(len), input[at.index(len)]);
                input.splice(from..from, std::iter::repeat_n(byte, *count));
            }
            Bend::Truncate(at) => input.truncate(at.index(len)),
        }
    }
    input
}

macro_rules! bent_inputs_of {
    ($($target:ident,)*) => {
        proptest! {
            #![proptest_config(ProptestConfig::with_source_file(file!()))]
            $(
                #[test]
                fn $target(which in any::<Index>(), bends in bends()) {
                    static SEEDS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| (of(stringify!($target)).seeds)());
                    (of(stringify!($target)).check)(&bent(which.get(&SEEDS).clone(), &bends));
                }
            )*
        }
    };
}
greenroom_fuzz::for_every_target!(bent_inputs_of);

fn of(name: &str) -> Target {
    target(name).expect("it is in the list")
}

proptest! {
    /// Deeper than any value: an error, and not the end of the stack.
    #[test]
    fn nested_values(depth in 1usize..200_000, json in any::<bool>(), opening in any::<bool>()) {
        let (content_type, byte) = match (json, opening) {
            (true, true) => (ContentType::Json, b'['),
            (true, false) => (ContentType::Json, b'{'),
            (false, true) => (ContentType::Msgpack, 0x91),
            (false, false) => (ContentType::Msgpack, 0x81),
        };
        let payload = Payload { content_type, data: vec![byte; depth].into() };
        prop_assert!(payload.decode::<serde_json::Value>("it").is_err());
        let _ = payload.to_string();
    }
}
