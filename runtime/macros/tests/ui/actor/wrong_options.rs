#![allow(unused)]

use greenroom_macros::{Actor, actor_methods};
use serde::{Deserialize, Serialize};

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", name = "shop/Cart", idle_timeout = "5 minutes", mailbox = 0, no_rollback)]
struct Cart;

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", name = Wallet, idle_timeout = 300, mailbox = "many", volatile = true)]
struct Wallet;

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", mailbox = 1, mailbox = 2, timeout = "5m")]
struct Purse;

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "not a path", name)]
struct Till;

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core")]
struct _Hidden;

// The types are actors nevertheless: no errors about that.
#[actor_methods(crate = "greenroom_core")]
impl Cart {
    async fn put(&mut self, wallet: String) -> bool {
        wallet.is_empty()
    }
}

async fn put(cart: CartRef) -> bool {
    cart.put(String::new()).await.unwrap()
}

fn main() {}
