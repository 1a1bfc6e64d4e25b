//! Every visibility of type and method, also a `pub` method of a private type; and strict lints stay silent.
#![deny(warnings, missing_docs, unreachable_pub)]

/// Actors.
pub mod shop {
    use greenroom_core::Result;
    use greenroom_macros::{Actor, actor_methods};
    use serde::{Deserialize, Serialize};

    /// What is in a cart.
    #[derive(Debug, Serialize, Deserialize)]
    pub struct Item;

    #[derive(Debug, Serialize, Deserialize)]
    pub(crate) struct Secret;

    /// A cart.
    #[derive(Actor, Default, Serialize, Deserialize)]
    #[actor(crate = "greenroom_core")]
    pub struct Cart;

    #[actor_methods(crate = "greenroom_core")]
    impl Cart {
        /// Puts an item in.
        pub async fn put(&mut self, _item: Item) -> Option<Item> {
            None
        }

        pub(crate) async fn secret(&self) -> Secret {
            Secret
        }

        pub(super) async fn seen_above(&self, _secret: Secret) {}

        async fn private(&self) -> Result<()> {
            Ok(())
        }
    }

    #[derive(Actor, Default, Serialize, Deserialize)]
    #[actor(crate = "greenroom_core")]
    struct Hidden;

    #[actor_methods(crate = "greenroom_core")]
    impl Hidden {
        #[allow(unreachable_pub)]
        pub async fn open(&self, secret: Secret) -> Secret {
            secret
        }
    }
}

/// Calls from another module.
pub async fn call(cart: &shop::CartRef) {
    let _ = cart.put(shop::Item).await;
    let _ = cart.seen_above(cart.secret().await.unwrap()).await;
}
