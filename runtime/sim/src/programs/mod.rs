//! The programming model under faults: random programs, checked against a simple sequential model.
//!
//! A program is data ([`script`], [`steps`]), drawn from the seed ([`draw`]): what clients ask a few actors ([`cast`],
//! [`actors`]) at which times, what each turn then does ([`stage`]), and what goes wrong meanwhile. Clients ([`client`])
//! carry it out on the simulated cluster ([`theatre`], [`scenario`]). The [`witness`] sees what becomes durable and what
//! leaves, and holds it against the [`model`]: turns are applied whole, once, in one order, and nothing shows before its
//! commit; what was sent is applied as often and in the order as its kind promises ([`order`], [`origins`], [`channels`],
//! [`ranks`], [`letters`], [`rhythm`], [`visits`], [`audience`], [`locals`]). A failing program is made small ([`shrink`]).

pub(crate) mod actors;
mod audience;
pub(crate) mod cast;
mod channels;
mod client;
mod draw;
pub(crate) mod elders;
mod errand;
mod follow;
mod letters;
mod locals;
mod model;
mod order;
mod origins;
mod ranks;
mod relaxed;
mod rhythm;
mod scenario;
mod script;
mod shrink;
mod stage;
mod steps;
mod theatre;
mod verdict;
mod versions;
mod visits;
mod witness;

pub use scenario::{read, simulate};
pub use script::PartId;
pub use shrink::{Shrunk, shrink};
pub(crate) use steps::By;
