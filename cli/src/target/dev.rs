//! Finds the dev cluster that runs here: the one under `.greenroom`, or in the nearest parent directory that has one.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Target, announce};
use crate::dev::endpoints::{Endpoints, Found};
use crate::failure::{Failure, OrFail, Result};

/// The directory that `greenroom dev` keeps its clusters in.
pub(crate) const DATA_DIR: &str = ".greenroom";
/// The variable that names another one.
const DATA_VARIABLE: &str = "GREENROOM_DATA";

/// Chooses a dev cluster.
#[derive(Debug, Default, Clone, clap::Args)]
pub(crate) struct DevTargetArgs {
    /// The data directory of `greenroom dev` [default: GREENROOM_DATA, or .greenroom here, or in a parent directory]
    #[arg(long, value_name = "DIR", help_heading = "Target")]
    data: Option<PathBuf>,
    /// The name of the dev cluster, if several run on that directory
    #[arg(id = "cluster_name", long = "name", value_name = "NAME", help_heading = "Target")]
    name: Option<String>,
}

/// A dev cluster that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DevTarget {
    /// Where it is.
    pub(crate) endpoints: Endpoints,
    /// The directory that says so.
    pub(crate) dir: PathBuf,
}

/// What the search for a dev cluster came to.
#[derive(Debug)]
pub(crate) enum Search {
    /// This one is meant.
    Found(DevTarget),
    /// None runs; the failure says where one was looked for.
    Nothing(Failure),
}

impl DevTarget {
    /// Where it is now, if it still runs.
    pub(super) fn reread(&self) -> Result<Option<Endpoints>> {
        Ok(match Endpoints::find(&self.dir)? {
            Found::Running(endpoints) => Some(endpoints),
            Found::Stale { .. } | Found::Nothing => None,
        })
    }
}

impl Search {
    fn or_fail(self) -> Result<DevTarget> {
        match self {
            Self::Found(cluster) => Ok(cluster),
            Self::Nothing(failure) => Err(failure),
        }
    }
}

/// True if the environment says where the dev clusters are.
pub(super) fn is_in_environment() -> bool {
    std::env::var_os(DATA_VARIABLE).is_some()
}

impl DevTargetArgs {
    /// True if the user asks for a dev cluster.
    pub(super) fn is_given(&self) -> bool {
        self.data.is_some() || self.name.is_some()
    }

    /// The dev cluster that the arguments choose; tells the user which one that is.
    pub(crate) fn choose(&self) -> Result<DevTarget> {
        let cluster = self.search()?.or_fail()?;
        announce(&Target::Dev(cluster.clone()));
        Ok(cluster)
    }

    /// The dev cluster that the arguments choose, if it runs.
    pub(super) fn search(&self) -> Result<Search> {
        search(&self.data_dirs()?, self.name.as_deref())
    }

    /// The name that is asked for.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Where dev clusters may be, the nearest place first.
    pub(crate) fn data_dirs(&self) -> Result<Vec<PathBuf>> {
        if let Some(data) = self.data.clone().or_else(|| std::env::var_os(DATA_VARIABLE).map(Into::into)) {
            return Ok(vec![data]);
        }
        let here = std::env::current_dir().or_fail("cannot tell the current directory")?;
        Ok(here.ancestors().map(|dir| dir.join(DATA_DIR)).collect())
    }
}

/// The running cluster of the first data directory that has one.
fn search(data_dirs: &[PathBuf], name: Option<&str>) -> Result<Search> {
    let mut stale = Vec::new();
    for data_dir in data_dirs {
        let mut running = Vec::new();
        for dir in cluster_dirs(data_dir, name) {
            match Endpoints::find(&dir)? {
                Found::Nothing => {}
                Found::Stale { pid } => stale.push(format!(
                    "  {} was left behind by process {pid}, which is gone",
                    dir.join("endpoints.json").display()
                )),
                Found::Running(endpoints) => running.push(DevTarget { endpoints, dir }),
            }
        }
        if running.len() > 1 {
            let names: Vec<_> = running.iter().map(|found| found.endpoints.cluster.as_str()).collect();
            return Err(Failure::new(format!(
                "several dev clusters run on {}: {}",
                data_dir.display(),
                names.join(", ")
            ))
            .hint("choose one with --name NAME"));
        }
        if let Some(found) = running.pop() {
            return Ok(Search::Found(found));
        }
    }
    Ok(Search::Nothing(nothing_runs(data_dirs, name, &stale)))
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
pub(crate) fn cluster_dirs(data_dir: &Path, name: Option<&str>) -> Vec<PathBuf> {
    if let Some(name) = name {
        return vec![data_dir.join(name)];
    }
    let Ok(entries) = fs::read_dir(data_dir) else { return Vec::new() };
    let mut dirs: Vec<_> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|p| p.is_dir()).collect();
    dirs.sort();
    dirs
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
        search(&paths, name)?.or_fail().map(|found| found.endpoints.cluster)
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
}
