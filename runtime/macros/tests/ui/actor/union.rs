#![allow(unused)]

use greenroom_macros::Actor;

#[derive(Actor)]
#[actor(crate = "greenroom_core")]
union Bits {
    number: u32,
}

impl Default for Bits {
    fn default() -> Self {
        Self { number: 0 }
    }
}

fn main() {}
