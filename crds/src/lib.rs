//! The custom resource types of Greenroom, and nothing else: no I/O, no client.
//!
//! Whatever a user may write is said once, at the types: their doc comments become the descriptions, their attributes
//! the bounds, defaults and CEL rules of the schema. The definitions that the chart installs, the reference page and the
//! check that `greenroom dev` makes of a YAML file are all derived from that one schema.
//!
//! A rule's message says what is wrong and, behind `; `, what to do. An API server shows it whole; [`manifest`] shows
//! the second half as the remedy.

// KubeSchema repeats each struct, its `pub` included, inside a function; printed columns may well have the same type.
#![allow(unreachable_pub, clippy::duplicated_attributes)]

mod actor_cluster;
mod definition;
mod gateway;
mod group;
pub mod manifest;
pub mod names;
mod pod;
mod reference;
mod schema;
mod shard_map;
mod status;
mod storage;

pub use actor_cluster::{ActorCluster, ActorClusterSpec};
pub use definition::crd_yaml;
pub use gateway::{Gateway, ServiceType};
pub use group::NodeGroup;
pub use pod::PodSettings;
pub use reference::reference_markdown;
pub use shard_map::{Entry, Evidence, Member, NodeRun, ShardGroup, ShardMap, ShardMapSpec};
pub use status::{ActivationStatus, ActorClusterStatus, NodeStatus, TypeActivations};
pub use storage::{Engine, Retention, RetentionPolicy, Storage};
