//! Control groups: what a node's limits hang from, and our only record of what we started.
//!
//! Every process of a cluster is born in a group below `grcl`, and its descendants stay there. So which processes are
//! ours is what the kernel says, not what a file remembers: it holds after a crash of ours and after a reboot, and
//! nobody else's process can be hit.
//!
//! This is cgroup v1: a group has a directory in each hierarchy, and the freezer's lists the processes. A frozen
//! process cannot fork or end, so a group is killed by freezing it, signalling everybody and thawing it.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::error::{Doing, Error, Result};

const MOUNTS: &str = "/sys/fs/cgroup";
/// The parent of all our groups.
const ROOT: &str = "grcl";

/// How long killed processes may take to go.
const KILL_LIMIT: Duration = Duration::from_secs(20);

/// A control group in all hierarchies.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// Relative to a hierarchy, without a slash at either end.
    path: String,
}

impl Group {
    /// The group of everything.
    pub(crate) fn root() -> Self {
        Self { path: ROOT.to_owned() }
    }

    pub(crate) fn child(&self, name: &str) -> Self {
        Self { path: format!("{}/{name}", self.path) }
    }

    /// As the kubelet wants it.
    pub(crate) fn absolute(&self) -> String {
        format!("/{}", self.path)
    }

    /// Makes the group in each hierarchy: the kubelet refuses a root that is missing in one.
    pub(crate) fn create(&self) -> Result<()> {
        supported()?;
        for hierarchy in hierarchies()? {
            let directory = hierarchy.join(&self.path);
            fs::create_dir_all(&directory).doing(|| format!("create {}", directory.display()))?;
        }
        self.fill_cpuset()
    }

    /// A group starts without any CPU or memory to run on, and nothing can join it until it has some.
    fn fill_cpuset(&self) -> Result<()> {
        let hierarchy = Path::new(MOUNTS).join("cpuset");
        let mut directory = hierarchy.clone();
        for part in self.path.split('/') {
            let parent = directory.clone();
            directory.push(part);
            for file in ["cpuset.cpus", "cpuset.mems"] {
                let copied = fs::read(parent.join(file)).and_then(|all| fs::write(directory.join(file), all));
                copied.doing(|| format!("fill {file} of {}", directory.display()))?;
            }
        }
        Ok(())
    }

    /// `command`, so that its process joins the group before it becomes the program.
    pub(crate) fn within(&self, command: &Command) -> Command {
        let mut shell = Command::new("/bin/sh");
        // Written by the process itself: "0" is whoever writes.
        shell.args(["-c", r#"echo 0 > "$1" && shift && exec "$@""#, "join"]);
        shell.arg(self.freezer().join("cgroup.procs")).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell
    }

    /// The processes of this group and those below, zombies left out.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let mut found = Vec::new();
        for directory in self.tree(&self.freezer()) {
            let list = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
            found.extend(list.lines().filter_map(|pid| pid.parse::<i32>().ok()));
        }
        found
    }

    /// Stops every process of the group where it is.
    pub(crate) fn freeze(&self) -> Result<()> {
        self.freezer_state("FROZEN")
    }

    pub(crate) fn thaw(&self) -> Result<()> {
        self.freezer_state("THAWED")
    }

    pub(crate) fn is_frozen(&self) -> bool {
        fs::read_to_string(self.freezer().join("freezer.state")).is_ok_and(|state| state.trim() != "THAWED")
    }

    fn freezer_state(&self, state: &str) -> Result<()> {
        let file = self.freezer().join("freezer.state");
        fs::write(&file, state).doing(|| format!("write {state} to {}", file.display()))?;
        let start = Instant::now();
        // A process in a system call that cannot be interrupted delays it; what else is in the group stops anyway.
        while fs::read_to_string(&file).is_ok_and(|now| now.trim() != state) {
            if start.elapsed() > Duration::from_secs(2) {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Ends every process of the group with SIGKILL and returns when all are gone, with all their threads.
    pub(crate) fn kill(&self) -> Result<()> {
        let start = Instant::now();
        while !self.processes().is_empty() {
            if start.elapsed() > KILL_LIMIT {
                return Err(Error::Refused(format!(
                    "processes {:?} in cgroup {} do not end; look at /proc/PID/stack",
                    self.processes(),
                    self.path
                )));
            }
            self.freeze()?;
            for pid in self.processes().into_iter().filter_map(Pid::from_raw) {
                // It fails only for a process that is gone.
                let _ = kill_process(pid, Signal::KILL);
            }
            self.thaw()?;
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Kills what is in the group and removes it, with the groups below, from every hierarchy.
    pub(crate) fn remove(&self) -> Result<()> {
        self.kill()?;
        let start = Instant::now();
        loop {
            let left: Vec<PathBuf> =
                self.directories().into_iter().filter(|left| !self.is_removed(left)).collect();
            if left.is_empty() {
                return Ok(());
            }
            if start.elapsed() > KILL_LIMIT {
                return Err(Error::Refused(format!("cgroups {left:?} are in use; remove them with rmdir")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Removes the tree below a directory, leaves first, as far as it is unused.
    fn is_removed(&self, directory: &Path) -> bool {
        self.tree(directory).iter().rev().for_each(|group| drop(fs::remove_dir(group)));
        !directory.exists()
    }

    /// What the group has in the hierarchies, whichever exist.
    pub(crate) fn directories(&self) -> Vec<PathBuf> {
        let hierarchies = hierarchies().unwrap_or_default();
        hierarchies
            .into_iter()
            .map(|hierarchy| hierarchy.join(&self.path))
            .filter(|path| path.exists())
            .collect()
    }

    /// A directory and all below it, parents first.
    fn tree(&self, top: &Path) -> Vec<PathBuf> {
        let mut found = vec![top.to_owned()];
        let mut next = 0;
        while let Some(directory) = found.get(next).cloned() {
            let entries = fs::read_dir(directory).into_iter().flatten().flatten();
            found.extend(
                entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|e| e.path()),
            );
            next += 1;
        }
        found
    }

    fn freezer(&self) -> PathBuf {
        Path::new(MOUNTS).join("freezer").join(&self.path)
    }
}

/// Whether this machine's control groups can carry nodes.
pub(crate) fn supported() -> Result<()> {
    if Path::new(MOUNTS).join("freezer").is_dir() && Path::new(MOUNTS).join("cpuset").is_dir() {
        return Ok(());
    }
    Err(Error::Missing(
        "nodes of plain processes need cgroup v1 with a freezer, and this machine has none; use --kind"
            .to_owned(),
    ))
}

fn hierarchies() -> Result<Vec<PathBuf>> {
    match fs::read_dir(MOUNTS) {
        Ok(entries) => {
            let directories =
                entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            Ok(directories.map(|entry| entry.path()).collect())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(Error::Io { what: format!("list {MOUNTS}"), source }),
    }
}
