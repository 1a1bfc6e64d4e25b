//! `.greenroom/<name>/endpoints.json`: where a running dev cluster is, for the commands of other terminals.
//!
//! The parent writes the file whole at each change of presence, through a temporary file and a rename, so that a reader
//! never sees half of it, and removes it at the end. A parent that was killed leaves it behind: a reader ignores a file
//! whose process is gone.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use greenroom_cluster::Peer;
use serde::{Deserialize, Serialize};

use crate::failure::{OrFail, Result};

/// The name of the file.
const FILE: &str = "endpoints.json";

/// Where a dev cluster is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Endpoints {
    /// The cluster's name.
    pub(crate) cluster: String,
    /// The process that runs it.
    pub(crate) pid: u32,
    /// How many general nodes it should have, `<cluster>-0` and on.
    pub(crate) replicas: u16,
    /// How many nodes each group should have, `<cluster>-<group>-0` and on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) groups: Vec<(String, u32)>,
    /// Where the parent serves `Coordination`.
    pub(crate) coordination: String,
    /// The socket that takes `dev stop` and `dev start`.
    pub(crate) control: PathBuf,
    /// The nodes that are there now, by name.
    pub(crate) nodes: Vec<NodeEndpoints>,
}

/// Where one node is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NodeEndpoints {
    /// The node's name.
    pub(crate) name: String,
    /// Its process.
    pub(crate) pid: u32,
    /// Where clients call.
    pub(crate) gateway: String,
    /// Where other nodes connect.
    pub(crate) mesh: String,
    /// Where operators ask.
    pub(crate) admin: String,
    /// Where probes and metrics are.
    pub(crate) health: String,
}

impl From<Peer> for NodeEndpoints {
    fn from(peer: Peer) -> Self {
        Self {
            name: peer.name,
            pid: peer.pid,
            gateway: peer.gateway_address,
            mesh: peer.mesh_address,
            admin: peer.admin_address,
            health: peer.health_address,
        }
    }
}

/// What a data directory says about its cluster.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// No dev cluster runs on it.
    Nothing,
    /// One ran on it, and its process is gone.
    Stale {
        /// The process that is gone.
        pid: u32,
    },
    /// One runs on it.
    Running(Endpoints),
}

impl Endpoints {
    /// The names that the nodes of the cluster have, there or not.
    pub(crate) fn node_names(&self) -> impl Iterator<Item = String> {
        let general = (0..self.replicas).map(|i| format!("{}-{i}", self.cluster));
        general.chain(self.groups.iter().flat_map(move |(group, replicas)| {
            (0..*replicas).map(move |i| format!("{}-{group}-{i}", self.cluster))
        }))
    }

    /// Writes the file into the cluster's directory.
    pub(crate) fn write(&self, cluster_dir: &Path) -> Result {
        let path = cluster_dir.join(FILE);
        let json = serde_json::to_string_pretty(self).or_fail("cannot write endpoints.json")?;
        let temporary = path.with_extension("json.tmp");
        fs::write(&temporary, json + "\n")
            .and_then(|()| fs::rename(&temporary, &path))
            .or_fail(format_args!("cannot write {}", path.display()))
    }

    /// Removes the file; that it is gone already is no error.
    pub(crate) fn remove(cluster_dir: &Path) {
        // What stays behind is recognised as stale.
        let _ = fs::remove_file(cluster_dir.join(FILE));
    }

    /// Reads the file of a cluster's directory.
    pub(crate) fn find(cluster_dir: &Path) -> Result<Found> {
        let path = cluster_dir.join(FILE);
        let json = match fs::read_to_string(&path) {
            Ok(json) => json,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(error) => return Err(error).or_fail(format_args!("cannot read {}", path.display())),
        };
        let endpoints: Self = serde_json::from_str(&json)
            .or_fail(format_args!("{} was written by another version of greenroom", path.display()))?;
        Ok(if process_is_alive(endpoints.pid) {
            Found::Running(endpoints)
        } else {
            Found::Stale { pid: endpoints.pid }
        })
    }
}

/// True if there is such a process, whoever owns it, and it has not ended.
pub(crate) fn process_is_alive(pid: u32) -> bool {
    use rustix::io::Errno;
    use rustix::process::{Pid, test_kill_process};
    let Some(id) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
    !matches!(test_kill_process(id), Err(Errno::SRCH)) && !is_zombie(pid)
}

/// A process that has ended keeps its id until its parent asks how, which may be never. Linux tells the state behind the
/// name, which is in parentheses and may itself hold some.
fn is_zombie(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with(['Z', 'X']))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn demo(pid: u32) -> Endpoints {
        let node = |i: u32| NodeEndpoints {
            name: format!("demo-{i}"),
            pid: 100 + i,
            gateway: format!("127.0.0.1:{}", 4000 + i),
            mesh: format!("127.0.0.1:{}", 4100 + i),
            admin: format!("127.0.0.1:{}", 4200 + i),
            health: format!("127.0.0.1:{}", 4300 + i),
        };
        Endpoints {
            cluster: "demo".into(),
            pid,
            replicas: 3,
            groups: Vec::new(),
            coordination: "127.0.0.1:3999".into(),
            control: "/tmp/control.sock".into(),
            nodes: vec![node(0), node(2)],
        }
    }

    /// The id of a process that has ended.
    pub(crate) fn dead_pid() -> u32 {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        child.id()
    }

    #[test]
    fn what_is_written_is_found_again_until_it_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let endpoints = demo(std::process::id());
        assert_eq!(Endpoints::find(dir.path()).unwrap(), Found::Nothing);
        endpoints.write(dir.path()).unwrap();
        assert_eq!(Endpoints::find(dir.path()).unwrap(), Found::Running(endpoints));
        Endpoints::remove(dir.path());
        assert_eq!(Endpoints::find(dir.path()).unwrap(), Found::Nothing);
    }

    #[test]
    fn a_file_whose_process_is_gone_is_stale() {
        let dir = tempfile::tempdir().unwrap();
        let pid = dead_pid();
        demo(pid).write(dir.path()).unwrap();
        assert_eq!(Endpoints::find(dir.path()).unwrap(), Found::Stale { pid });
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_that_has_ended_is_not_alive_even_before_its_parent_has_asked() {
        use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
        let mut child =
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        assert!(process_is_alive(child.id()));
        drop(child.stdin.take());
        waitid(WaitId::Pid(Pid::from_child(&child)), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).unwrap();
        assert!(!process_is_alive(child.id()));
        child.wait().unwrap();
    }

    #[test]
    fn a_file_of_another_form_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), "{}").unwrap();
        let failure = Endpoints::find(dir.path()).unwrap_err().to_string();
        assert!(failure.contains("endpoints.json was written by another version"), "{failure}");
    }
}
