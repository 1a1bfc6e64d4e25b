//! What a node knows of itself, for the admin service, the health checks and the metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use greenroom_cluster::Phase;
use greenroom_cluster::mesh::MeshCounts;
use greenroom_core::engine::MemoryLimits;
use greenroom_proto::v1;

use super::Shared;
use crate::memory;

impl Shared {
    pub(crate) fn phase(&self) -> &'static str {
        self.driver.state().phase.as_str()
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.driver.state().phase == Phase::Active
    }

    /// Shards owned and served.
    pub(crate) fn shards(&self) -> (u64, u64) {
        let state = self.driver.state();
        (state.shards_owned as u64, state.shards_serving as u64)
    }

    pub(crate) fn commits(&self) -> u64 {
        self.store.stats().records
    }

    pub(crate) fn commit_groups(&self) -> u64 {
        self.store.stats().groups
    }

    pub(crate) fn mesh_counts(&self) -> MeshCounts {
        self.mesh.stats().counts()
    }

    /// Calls taken, failed and refused by the gateway.
    pub(crate) fn gateway_counts(&self) -> (u64, u64, u64) {
        let stats = self.gateway.stats();
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (read(&stats.calls), read(&stats.failed), read(&stats.refused))
    }

    /// What became of the connections of each port.
    pub(crate) fn port_counts(&self) -> Vec<(&'static str, [(&'static str, u64); 4])> {
        self.ports.iter().map(|(port, stats)| (*port, stats.outcomes())).collect()
    }

    /// When this node's certificate stops being valid, in seconds of Unix time; `None` without TLS.
    pub(crate) fn certificate_expires(&self) -> Option<u64> {
        let expires = self.tls.as_ref()?.expires().duration_since(SystemTime::UNIX_EPOCH);
        Some(expires.map_or(0, |since| since.as_secs()))
    }

    /// How much memory the node may take, if there is a limit.
    pub(crate) fn memory_limits(&self) -> Option<MemoryLimits> {
        memory::limits(self.config.memory_soft, self.config.memory_hard)
    }

    /// What a node that is not active waits for, if that is something outside.
    pub(crate) fn waits_for(&self) -> Option<String> {
        self.driver.waits_for()
    }

    pub(crate) fn status(&self) -> v1::NodeStatus {
        let (engine, (owned, serving), run) = (self.engine.stats(), self.shards(), self.store.run());
        let activations =
            self.engine.types().iter().map(|info| (info.name.to_owned(), info.activations)).collect();
        v1::NodeStatus {
            name: self.config.node.clone(),
            cluster: self.config.cluster.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            store: run.store.to_string(),
            incarnation: run.incarnation.0,
            phase: self.phase().to_owned(),
            shards_owned: owned as u32,
            shards_serving: serving as u32,
            activations: engine.activations,
            calls_total: engine.calls,
            calls_failed_total: engine.failed,
            commits_total: self.commits(),
            uptime_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            activations_by_type: activations,
            gateway_address: self.peer.gateway_address.clone(),
            mesh_address: self.peer.mesh_address.clone(),
            admin_address: self.peer.admin_address.clone(),
            health_address: self.peer.health_address.clone(),
            pid: self.peer.pid,
            group: self.config.group.clone().unwrap_or_default(),
        }
    }

    pub(crate) fn shard_status(&self) -> v1::ShardsReply {
        let (view, present) = (self.driver.map().view(), self.driver.peers());
        let shards = view.entries().map(|(shard, entry)| v1::ShardStatus {
            shard: u32::from(shard.0),
            epoch: entry.epoch.0,
            owner_store: entry.owner.store.to_string(),
            owner_node: view.node_of(entry.owner.store).unwrap_or_default().to_owned(),
            owner_incarnation: entry.owner.incarnation.0,
            in_sync: entry.in_sync.iter().map(ToString::to_string).collect(),
            serving_here: self.engine.owned(shard).is_some(),
        });
        let members = view.members().iter().map(|member| v1::MemberStatus {
            store: member.store.to_string(),
            node: member.node.clone(),
            incarnation: member.incarnation.0,
            present: present.contains_key(&member.node),
        });
        v1::ShardsReply {
            shard_count: u32::from(self.engine.shards().get()),
            shards: shards.collect(),
            members: members.collect(),
        }
    }
}
