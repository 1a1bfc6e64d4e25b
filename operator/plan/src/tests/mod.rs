//! What the tests share: clusters from YAML, and how the operator was installed.

mod drift;
mod golden;
mod groups;
mod lease;
mod plan;
mod roll;
mod status;
mod validate;
mod world;

use greenroom_crds::ActorCluster;
use greenroom_crds::manifest;
use jiff::Timestamp;

use crate::observed::{Observed, Settings};

/// The smallest cluster that a user can write.
const SMALLEST: &str = include_str!("../../tests/golden/smallest/cluster.yaml");
/// A cluster in which every field is set.
const FULL: &str = include_str!("../../tests/golden/full/cluster.yaml");

/// A cluster with groups of nodes.
const GROUPS: &str = include_str!("../../tests/golden/groups/cluster.yaml");

/// A cluster as an API server holds it.
fn cluster(yaml: &str) -> ActorCluster {
    let mut cluster = manifest::parse(yaml).unwrap();
    cluster.metadata.namespace.get_or_insert("games".into());
    cluster.metadata.uid = Some("uid-of-the-cluster".into());
    cluster.metadata.generation = Some(1);
    cluster
}

fn settings() -> Settings {
    Settings {
        node_image: "greenroom.dev/greenroom:0.1.0".into(),
        image_pull_policy: None,
        image_pull_secrets: Vec::new(),
        namespace: "greenroom-system".into(),
        cluster_domain: "cluster.local".into(),
    }
}

/// A cluster of which nothing exists yet.
fn fresh(cluster: ActorCluster) -> Observed {
    Observed {
        cluster,
        children: Default::default(),
        pods: Vec::new(),
        pages: Vec::new(),
        foreign: Default::default(),
        nodes: Default::default(),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}
