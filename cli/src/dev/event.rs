//! What happens to a dev cluster, in the words that people read: plain mode prints every event, the live view shows the
//! last ones.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// A node's process has been started.
    Started { node: String, pid: u32 },
    /// A node's program could not be started.
    CannotStart { node: String, error: String, restart_in: Duration },
    /// A node's process ended without being asked to.
    Died { node: String, how: String, restart_in: Duration, log: PathBuf, last_lines: Vec<String> },
    /// A node's process did not end in time and was killed.
    Killed { node: String },
    /// A node's process has ended as it was asked to.
    Stopped { node: String },
    /// A node is present in the cluster.
    Registered { node: String, gateway: String },
    /// A node has another phase.
    Phase { node: String, phase: String },
    /// Every shard is served.
    Ready { cluster: String, nodes: usize, shards: u16 },
    /// Some shards are not served any more.
    NotReady { cluster: String, serving: u32, shards: u16 },
}

/// Where events go. There is no bound: they come no faster than processes start and end, which back-off limits.
pub(crate) type Events = mpsc::UnboundedSender<Event>;

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started { node, pid } => write!(f, "{node}: started as process {pid}"),
            Self::CannotStart { node, error, restart_in } => {
                write!(f, "{node}: cannot be started: {error}; next attempt in {restart_in:?}")
            }
            Self::Died { node, how, restart_in, log, last_lines } => {
                write!(
                    f,
                    "{node}: died ({how}), starts again in {restart_in:?}; the end of {}:",
                    log.display()
                )?;
                last_lines.iter().try_for_each(|line| write!(f, "\n    {line}"))
            }
            Self::Killed { node } => write!(f, "{node}: did not stop in time and was killed"),
            Self::Stopped { node } => write!(f, "{node}: stopped"),
            Self::Registered { node, gateway } => write!(f, "{node}: registered, gateway at {gateway}"),
            Self::Phase { node, phase } => write!(f, "{node}: {phase}"),
            Self::Ready { cluster, nodes, shards } => {
                write!(f, "{cluster}: ready, {nodes} nodes serve {shards} shards")
            }
            Self::NotReady { cluster, serving, shards } => {
                write!(f, "{cluster}: {serving} of {shards} shards are served")
            }
        }
    }
}
