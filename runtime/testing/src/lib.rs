//! A simulated cluster: the real runtime on parts that a test decides about.
//!
//! Real are engine, driver, owner, coordinator, registration and router. Simulated is what lies below them, and it may
//! fail on purpose: disk ([`disk`]), network ([`network`]), register ([`register`]), time and tasks ([`executor`],
//! [`world`]). Nodes start, crash and come back ([`nodes`]). Nothing here opens a file or a port, and one seed decides
//! everything.
//!
//! Two programs stand on it: users' tests (`greenroom::testing`), which say what happens, and `greenroom-sim`, which
//! draws what goes wrong from the seed and checks the invariants ([`observer`] tells it what it needs to know).

pub mod conditions;
pub mod disk;
pub mod executor;
pub mod mutation;
pub mod network;
pub mod nodes;
pub mod observer;
pub mod register;
pub mod trace;
pub mod world;

pub use conditions::Conditions;
pub use executor::Owner;
pub use mutation::Mutation;
pub use nodes::{Nodes, Running};
pub use observer::{Event, Observer};
pub use world::World;
