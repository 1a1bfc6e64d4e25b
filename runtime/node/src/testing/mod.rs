//! A simulated cluster for tests of your own actors: nodes crash, the network fails, hours pass, and nothing but the
//! test's own process is needed. In the feature `testing`, for `[dev-dependencies]`.
//!
//! ```
//! # use greenroom::{Actor, actor_methods};
//! # #[derive(Actor, Default, serde::Serialize, serde::Deserialize)]
//! # struct Counter { total: i64 }
//! # #[actor_methods]
//! # impl Counter {
//! #     async fn add(&mut self, by: i64) -> i64 { self.total += by; self.total }
//! #     async fn total(&self) -> i64 { self.total }
//! # }
//! use greenroom::testing::Simulation;
//!
//! // #[test]
//! fn a_counter_survives_the_loss_of_its_node() {
//!     Simulation::new().actor::<Counter>().nodes(3).seeds(20).run(async |cluster| {
//!         let counter = cluster.actor::<Counter>("page-1");
//!         counter.add(3).await?;
//!         let node = cluster.node_of::<Counter>("page-1");
//!         cluster.kill(&node);
//!         cluster.restart(&node);
//!         assert_eq!(counter.total().await?, 3);
//!         Ok(())
//!     });
//! }
//! # a_counter_survives_the_loss_of_its_node();
//! ```
//!
//! **Real** are the turns of your actors, deduplication, the output gate, ownership of shards, routing, and the client's
//! repetitions. **Simulated** are disk, network, the register with the shard map, time and the order in which tasks run.
//! One seed decides everything that is drawn, so a run that fails is run again by its seed.
//!
//! A test stays repeatable as long as its actors and its body take time from tokio (`tokio::time`, which is virtual here)
//! and chance from [`Cluster::random`]: not from `SystemTime`, `HashMap`'s order or `tokio::select!` without `biased`.
//! A task that an actor starts with `tokio::spawn` runs, but is not ended when its node is killed.

mod cluster;
mod gateways;
mod seeds;
mod simulation;

pub use cluster::Cluster;
pub use simulation::{History, Simulation};

/// What the body of a simulated test returns: `?` takes any error.
pub type Result = std::result::Result<(), Box<dyn std::error::Error>>;
