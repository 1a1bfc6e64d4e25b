//! Which cluster a command talks to.
//!
//! In this order: `--address`; the dev cluster that `--data` and `--name` choose; the one that runs under `.greenroom`
//! here, or else in the nearest parent directory that has one.

use std::fmt;
use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use crate::dev::endpoints::{Endpoints, Found};
use crate::failure::{Failure, OrFail, Result};
use crate::output;

/// The directory that `greenroom dev` keeps its clusters in.
pub(crate) const DATA_DIR: &str = ".greenroom";

/// Chooses a dev cluster.
#[derive(Debug, Default, Clone, clap::Args)]
pub(crate) struct DevTargetArgs {
    /// The data directory of `greenroom dev` [default: .greenroom here, or in a parent directory]
    #[arg(long, env = "GREENROOM_DATA", value_name = "DIR", help_heading = "Target")]
    data: Option<PathBuf>,
    /// The name of the cluster, if several run on that directory
    #[arg(id = "cluster_name", long = "name", value_name = "NAME", help_heading = "Target")]
    name: Option<String>,
}

/// Chooses a cluster.
#[derive(Debug, Default, Clone, clap::Args)]
pub(crate) struct TargetArgs {
    #[command(flatten)]
    dev: DevTargetArgs,
    /// The node to talk to instead of a dev cluster: its gateway for `call`, its admin address for `get` and `describe`
    #[arg(long, value_name = "HOST:PORT", help_heading = "Target")]
    address: Option<String>,
}

/// A cluster that a command talks to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// One that `greenroom dev` runs on this machine.
    Dev {
        /// Where it is.
        endpoints: Endpoints,
        /// The directory that says so.
        dir: PathBuf,
    },
    /// One node, at an address that the user gave.
    Address(String),
}

/// A node that can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AdminAddress {
    /// What to call it when it does not answer.
    pub(crate) name: String,
    /// Its admin address.
    pub(crate) address: String,
}

impl Target {
    /// Where calls can be sent.
    pub(crate) fn gateways(&self) -> Result<Vec<String>> {
        match self {
            Self::Address(address) => Ok(vec![address.clone()]),
            Self::Dev { endpoints, .. } => {
                self.some_node(endpoints)?;
                Ok(endpoints.nodes.iter().map(|node| node.gateway.clone()).collect())
            }
        }
    }

    /// The nodes that can be asked.
    pub(crate) fn admins(&self) -> Result<Vec<AdminAddress>> {
        match self {
            Self::Address(address) => {
                Ok(vec![AdminAddress { name: format!("the node at {address}"), address: uri(address) }])
            }
            Self::Dev { endpoints, .. } => {
                self.some_node(endpoints)?;
                let admin =
                    |name: &str, address: &str| AdminAddress { name: name.into(), address: uri(address) };
                Ok(endpoints.nodes.iter().map(|node| admin(&node.name, &node.admin)).collect())
            }
        }
    }

    /// The names of the nodes that should be there and are not.
    pub(crate) fn absent(&self) -> Vec<String> {
        match self {
            Self::Address(_) => Vec::new(),
            Self::Dev { endpoints, .. } => endpoints
                .node_names()
                .filter(|name| endpoints.nodes.iter().all(|node| node.name != *name))
                .collect(),
        }
    }

    fn some_node(&self, endpoints: &Endpoints) -> Result {
        if endpoints.nodes.is_empty() {
            return Err(Failure::new(format!("{self} has no running node"))
                .hint("it may still be starting: look at the terminal of `greenroom dev`, then try again")
                .hint("a stopped node is started with `greenroom dev start NODE`"));
        }
        Ok(())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dev { endpoints, dir } => {
                write!(f, "dev cluster {} in {}", endpoints.cluster, dir.display())
            }
            Self::Address(address) => write!(f, "the node at {address}, and no other"),
        }
    }
}

impl TargetArgs {
    /// The cluster that the arguments choose; tells the user which one that is.
    pub(crate) fn choose(&self) -> Result<Target> {
        let target = match &self.address {
            Some(address) => Target::Address(address.clone()),
            None => self.dev.choose_quietly()?,
        };
        announce(&target);
        Ok(target)
    }
}

impl DevTargetArgs {
    /// The dev cluster that the arguments choose; tells the user which one that is.
    pub(crate) fn choose(&self) -> Result<(Endpoints, PathBuf)> {
        let target = self.choose_quietly()?;
        announce(&target);
        match target {
            Target::Dev { endpoints, dir } => Ok((endpoints, dir)),
            Target::Address(_) => unreachable!("only --address makes one"),
        }
    }

    fn choose_quietly(&self) -> Result<Target> {
        let here = std::env::current_dir().or_fail("cannot tell the current directory")?;
        let candidates: Vec<PathBuf> = match &self.data {
            Some(data) => vec![data.clone()],
            None => here.ancestors().map(|dir| dir.join(DATA_DIR)).collect(),
        };
        search(&candidates, self.name.as_deref())
    }
}

fn announce(target: &Target) {
    if std::io::stderr().is_terminal() {
        output::remark(format_args!("target: {target}"));
    }
}

/// The running cluster of the first data directory that has one.
fn search(data_dirs: &[PathBuf], name: Option<&str>) -> Result<Target> {
    let mut stale = Vec::new();
    for data_dir in data_dirs {
        let mut running = Vec::new();
        for dir in cluster_dirs(data_dir, name)? {
            match Endpoints::find(&dir)? {
                Found::Nothing => {}
                Found::Stale { pid } => stale.push(format!(
                    "  {} was left behind by process {pid}, which is gone",
                    dir.join("endpoints.json").display()
                )),
                Found::Running(endpoints) => running.push((endpoints, dir)),
            }
        }
        if running.len() > 1 {
            let names: Vec<_> = running.iter().map(|(endpoints, _)| endpoints.cluster.as_str()).collect();
            return Err(Failure::new(format!(
                "several dev clusters run on {}: {}",
                data_dir.display(),
                names.join(", ")
            ))
            .hint("choose one with --name NAME"));
        }
        if let Some((endpoints, dir)) = running.pop() {
            return Ok(Target::Dev { endpoints, dir });
        }
    }
    Err(nothing_runs(data_dirs, name, &stale))
}

fn nothing_runs(data_dirs: &[PathBuf], name: Option<&str>, stale: &[String]) -> Failure {
    let what = name.map_or("no dev cluster".to_owned(), |name| format!("no dev cluster {name}"));
    let place = match data_dirs {
        [only] => format!("on {}", only.display()),
        _ => format!("on {DATA_DIR} here or in a parent directory"),
    };
    Failure::new(format!("{what} runs {place}"))
        .details(stale.join("\n"))
        .hint("start one in another terminal: greenroom dev CLUSTER.yaml")
        .hint("or say where it is: --data DIR, or --address HOST:PORT for one node")
}

/// The directories of the clusters in a data directory, in the order of their names.
fn cluster_dirs(data_dir: &Path, name: Option<&str>) -> Result<Vec<PathBuf>> {
    if let Some(name) = name {
        return Ok(vec![data_dir.join(name)]);
    }
    let Ok(entries) = fs::read_dir(data_dir) else { return Ok(Vec::new()) };
    let mut dirs: Vec<_> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|p| p.is_dir()).collect();
    dirs.sort();
    Ok(dirs)
}

/// The address as tonic wants it.
fn uri(address: &str) -> String {
    if address.contains("://") { address.to_owned() } else { format!("http://{address}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dev::endpoints::tests::{dead_pid, demo};

    fn data_dir(clusters: &[(&str, u32)]) -> tempfile::TempDir {
        let data = tempfile::tempdir().unwrap();
        for (name, pid) in clusters {
            let dir = data.path().join(name);
            fs::create_dir(&dir).unwrap();
            Endpoints { cluster: (*name).into(), ..demo(*pid) }.write(&dir).unwrap();
        }
        data
    }

    fn chosen(data_dirs: &[&tempfile::TempDir], name: Option<&str>) -> Result<String> {
        let paths: Vec<_> = data_dirs.iter().map(|dir| dir.path().to_owned()).collect();
        search(&paths, name).map(|target| match target {
            Target::Dev { endpoints, .. } => endpoints.cluster,
            Target::Address(address) => address,
        })
    }

    #[test]
    fn the_nearest_directory_with_a_running_cluster_wins() {
        let me = std::process::id();
        let (empty, near, far) = (data_dir(&[]), data_dir(&[("near", me)]), data_dir(&[("far", me)]));
        assert_eq!(chosen(&[&empty, &near, &far], None), Ok("near".into()));
        assert_eq!(chosen(&[&empty, &near, &far], Some("far")), Ok("far".into()));
    }

    #[test]
    fn of_several_running_clusters_one_must_be_named() {
        let me = std::process::id();
        let data = data_dir(&[("a", me), ("b", me)]);
        let failure = chosen(&[&data], None).unwrap_err().to_string();
        assert!(failure.contains("a, b") && failure.contains("--name"), "{failure}");
        assert_eq!(chosen(&[&data], Some("b")), Ok("b".into()));
    }

    #[test]
    fn a_stale_file_is_ignored_and_named_and_the_way_to_start_is_shown() {
        let gone = dead_pid();
        let data = data_dir(&[("old", gone)]);
        let failure = chosen(&[&data], None).unwrap_err().to_string();
        assert!(failure.contains(&format!("process {gone}, which is gone")), "{failure}");
        assert!(failure.contains("greenroom dev CLUSTER.yaml"), "{failure}");
    }

    #[test]
    fn nodes_that_should_be_there_and_are_not_are_absent() {
        let target = Target::Dev { endpoints: demo(1), dir: "x".into() };
        assert_eq!(target.absent(), ["demo-1"]);
        assert_eq!(target.gateways().unwrap(), ["127.0.0.1:4000", "127.0.0.1:4002"]);
    }
}
