#![allow(unused)]

use greenroom_macros::{Actor, actor_methods};
use serde::{Deserialize, Serialize};

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", version = 0, migrate = "Self::migrate")]
struct Cart {
    #[index(key = "x")]
    owner: String,
    #[index(name = "shop")]
    shop: String,
    #[index(name = "shop")]
    branch: String,
}

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", migrate = Self::migrate)]
struct Wallet(#[index] String);

impl Wallet {
    fn migrate(_: u32, _: greenroom_core::OldState) -> greenroom_core::Result<Self> {
        Ok(Self::default())
    }
}

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", volatile)]
struct Purse {
    #[index]
    owner: String,
}

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", version = 1, migrate = Self::from_old)]
struct Till {
    #[index]
    weight: u64,
}

impl Till {
    fn from_old(_: u32, _: String) -> greenroom_core::Result<Self> {
        Ok(Self::default())
    }
}

fn main() {}
