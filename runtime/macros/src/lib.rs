//! `#[derive(Actor)]`, `#[actor_methods]` and `#[workflow]`.
//!
//! The state of an actor is a struct, its methods are the methods of the struct: `&mut self` is an exclusive turn,
//! `&self` methods read concurrently. Users get both macros from the crate `greenroom`.
//!
//! ```
//! # extern crate greenroom_core as greenroom;
//! # use greenroom::{Cx, Result};
//! # use greenroom_macros::{Actor, actor_methods};
//! # use serde::{Deserialize, Serialize};
//! #[derive(Actor, Default, Serialize, Deserialize)]
//! struct Counter {
//!     total: i64,
//! }
//!
//! #[actor_methods]
//! impl Counter {
//!     /// Adds `by` and returns the new total.
//!     async fn add(&mut self, cx: &Cx, by: i64) -> Result<i64> {
//!         self.total += by;
//!         Ok(self.total)
//!     }
//!
//!     async fn total(&self) -> i64 {
//!         self.total
//!     }
//! }
//!
//! async fn add_twice(counter: &CounterRef) -> Result<i64> {
//!     counter.add(3).await?;
//!     Ok(counter.add(4).await?)
//! }
//! # fn main() {}
//! ```

mod actor;
mod attr;
mod duration;
mod errors;
mod index;
mod methods;
mod names;
mod workflow;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Makes a struct the state of an actor type, and a reference type beside it: `CounterRef` for `Counter`.
///
/// A new actor starts with `Default`; the state is stored with serde. The options stand in `#[actor(…)]`:
///
/// | option | meaning | default |
/// |---|---|---|
/// | `name = "shop.Cart"` | the type's name on the wire and in the store: `[A-Za-z][A-Za-z0-9_.]{0,63}` | the struct's name |
/// | `volatile` | the state lives in memory only and is gone when the activation is | durable |
/// | `idle_timeout = "5m"` | an activation without calls for this long leaves memory; units `ms`, `s`, `m`, `h` | 5 minutes |
/// | `mailbox = 1024` | how many calls may wait for one activation; further ones are `Overloaded` | 1,024 |
/// | `no_rollback` | with `volatile`: a turn that fails leaves the changes it had made, and no turn pays for a copy | rollback |
/// | `stateless` | no identity, no shard, nothing stored: calls run on workers of the node where they are made | an actor per key |
/// | `local` | with `volatile`: every node has an actor of its own for each key | one per key in the cluster |
/// | `pinned("gpu")` | its actors live on the nodes of the group `gpu` only; in a cluster without that group, among the general nodes | among the general nodes |
/// | `workers = 8` | with `stateless`: how many workers, and so calls at a time, each key has on a node | one per core |
/// | `on_panic = "backoff"` | after a panic: `reload` (go on with the last good state), `backoff` (refuse calls for a while), `park` (refuse them until somebody deactivates the actor) | `reload` |
/// | `park_after = 3` | with `on_panic = "park"`: after so many panics in a row | 3 |
/// | `version = 2` | the version of the state's form; a program refuses states of a newer one | no version |
/// | `migrate = Self::migrate` | with `version`: `fn(from: u32, old: OldState) -> Result<Self>` reads states of earlier versions | serde's defaults |
/// | `crate = "path"` | where the crate `greenroom` is, if it goes by another name | `::greenroom` |
///
/// `#[index]` on a field lets actors be found by its value; `#[index(name = "…")]` gives the index another name than the
/// field's.
///
/// ```
/// # extern crate greenroom_core as greenroom;
/// # use greenroom_macros::{Actor, actor_methods};
/// # use serde::{Deserialize, Serialize};
/// #[derive(Actor, Default, Serialize, Deserialize)]
/// #[actor(name = "shop.Presence", volatile, idle_timeout = "30s", mailbox = 64)]
/// struct Presence {
///     visitors: u32,
/// }
/// # #[actor_methods]
/// # impl Presence {}
/// # fn main() {}
/// ```
#[proc_macro_derive(Actor, attributes(actor, index))]
pub fn derive_actor(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    actor::derive(&input).into()
}

/// Makes the methods of an `impl` block callable from anywhere, by the typed reference and by name.
///
/// There is one such block per actor type; helpers may stand in other `impl` blocks. Every function in it that takes
/// `&mut self` or `&self`, `async` or not, becomes a method; the reference gets one of the same name, arguments,
/// visibility and documentation, which returns a call to await. Functions without `self` are left alone.
///
/// - **Context**: `cx: &Cx` may be the first argument. The reference's method goes without it.
/// - **Arguments** travel between nodes by their names: owned types that implement serde's `Serialize` and
///   `Deserialize`, each with a plain name. An `Option` may be left out by a caller that does not know it.
/// - **Reply**: `T`, `Result<T>` (with `AppError`) or `Result<T, E>`; each of serde's two traits too. What is called
///   `Result` is taken for one of these, so another crate's `Result<T>` must be written out with its error.
/// - **Streams**: a method that returns `Items<T>` or `Result<Items<T>, E>` answers with items as they come; the caller
///   awaits the call and gets a `ReplyStream<T>`.
/// - `#[method(name = "…")]` names the method on the wire, so that the function can be renamed without a change there.
/// - `#[on_activate]` and `#[on_deactivate]` mark an `async fn …(&mut self, cx: &Cx) -> Result<()>` each that the runtime
///   calls when an actor has been loaded, and before it leaves memory. They are not on the wire.
/// - `#[method(reentrant)]` lets calls in while a turn of their own chain lends the actor with `cx.reentrant(self, …)`.
/// - `#[method(topic = "zone/{key}/died")]` lets the type listen to topics: what is published there goes to the actor whose key
///   stands at `{key}`, or is the whole topic if there is none.
/// - `#[method(skip)]` leaves a function out of the wire interface.
/// - `#[actor_methods(crate = "path")]` says where the crate `greenroom` is, if it goes by another name.
///
/// ```
/// # extern crate greenroom_core as greenroom;
/// # use greenroom::{Cx, Result};
/// # use greenroom_macros::{Actor, actor_methods};
/// # use serde::{Deserialize, Serialize};
/// #[derive(Debug, Serialize, Deserialize)]
/// enum Refused {
///     Overdrawn { missing: u64 },
/// }
///
/// #[derive(Actor, Default, Serialize, Deserialize)]
/// struct Account {
///     balance: u64,
/// }
///
/// #[actor_methods]
/// impl Account {
///     async fn withdraw(&mut self, amount: u64) -> Result<u64, Refused> {
///         let missing = amount.saturating_sub(self.balance);
///         if missing > 0 {
///             return Err(Refused::Overdrawn { missing });
///         }
///         self.balance -= amount;
///         Ok(self.balance)
///     }
///
///     async fn transfer(&mut self, cx: &Cx, to: String, amount: u64) -> Result<()> {
///         self.balance = self.balance.checked_sub(amount).ok_or_else(|| self.overdrawn())?;
///         cx.actor::<Account>(to).deposit(amount).await?;
///         Ok(())
///     }
///
///     #[method(name = "pay_in")]
///     async fn deposit(&mut self, amount: u64) {
///         self.balance += amount;
///     }
///
///     #[method(skip)]
///     fn overdrawn(&self) -> greenroom::AppError {
///         greenroom::AppError::new(format!("only {} are left", self.balance))
///     }
/// }
/// # fn main() {}
/// ```
#[proc_macro_attribute]
pub fn actor_methods(arguments: TokenStream, item: TokenStream) -> TokenStream {
    methods::attribute(arguments.into(), item.into()).into()
}

/// Makes an async function a workflow: an actor that goes on from its last checkpoint, wherever its node ends.
///
/// The function takes a `Flow`, through which it does everything but compute, and at most one input. The macro makes a type
/// of the same name beside it, by which the workflow is registered and started. Input, output and error travel and are
/// stored: owned types with serde's `Serialize` and `Deserialize`.
///
/// - `#[workflow(name = "shop.order")]` names its actor type; otherwise it is the function's name.
/// - `#[workflow(retention = "48h")]` says how long the result is kept; otherwise 7 days.
/// - `#[workflow(crate = "path")]` says where the crate `greenroom` is, if it goes by another name.
///
/// ```
/// # extern crate greenroom_core as greenroom;
/// # use greenroom::{Flow, Result};
/// # use greenroom_macros::{Actor, actor_methods, workflow};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Actor, Default, Serialize, Deserialize)]
/// # struct Account { balance: u64 }
/// # #[actor_methods]
/// # impl Account {
/// #     async fn withdraw(&mut self, amount: u64) -> Result<u64> { self.balance -= amount; Ok(self.balance) }
/// #     async fn deposit(&mut self, amount: u64) -> u64 { self.balance += amount; self.balance }
/// # }
/// #[derive(Serialize, Deserialize)]
/// struct Transfer {
///     from: String,
///     to: String,
///     amount: u64,
/// }
///
/// /// Moves money. Runs to its end, whatever crashes; each step is applied once.
/// #[workflow]
/// async fn transfer(flow: Flow, order: Transfer) -> Result<()> {
///     let Transfer { from, to, amount } = order;
///     flow.step("take", |by| by.actor::<Account>(&from).withdraw(amount)).await?;
///     flow.send("give", |by| by.actor::<Account>(&to).deposit(amount)).await?;
///     Ok(())
/// }
/// # fn main() {}
/// ```
#[proc_macro_attribute]
pub fn workflow(arguments: TokenStream, item: TokenStream) -> TokenStream {
    workflow::attribute(arguments.into(), item.into()).into()
}
