//! A node: containerd, a kubelet and kube-proxy in namespaces of their own.
//!
//! Its network namespace, mounts, process numbers, host name and control group are its own; the kernel and the root
//! file system are this machine's. Its first process is `init.sh`: when that dies, the kernel ends everything in the
//! PID namespace and unmounts what the node had mounted, so a power cut is one SIGKILL.

mod files;
mod link;

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) use files::{PAUSE_IMAGE, VOLUMES};
pub(crate) use link::{create_bridge, remove_bridge};

use crate::cgroup::Group;
use crate::error::{Doing, Error, Result, output_of};
use crate::network::NodeNumber;

const INIT: &str = include_str!("init.sh");

/// A node of a cluster that lies in a folder.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    number: NodeNumber,
    cluster: PathBuf,
}

/// What a node is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// It runs and is connected.
    Running,
    /// It runs, and nothing gets in or out.
    Partitioned,
    /// Everything in it is stopped where it was.
    Paused,
    /// Its power is off.
    Off,
}

impl Node {
    pub(crate) fn new(number: NodeNumber, cluster: &Path) -> Self {
        Self { number, cluster: cluster.to_owned() }
    }

    pub(crate) fn name(&self) -> String {
        self.number.name()
    }

    /// Its folder: configuration, logs, and `var`, which is its disk.
    fn folder(&self) -> PathBuf {
        self.cluster.join(self.name())
    }

    /// Where a volume on this node lies, seen from this machine.
    pub(crate) fn volumes(&self) -> PathBuf {
        self.folder().join("var").join(VOLUMES.trim_start_matches("/var/"))
    }

    fn group(&self) -> Group {
        Group::root().child(&self.name())
    }

    pub(crate) fn state(&self) -> NodeState {
        match self.group() {
            group if group.processes().is_empty() => NodeState::Off,
            group if group.is_frozen() => NodeState::Paused,
            _ if link::is_unplugged(self.number) => NodeState::Partitioned,
            _ => NodeState::Running,
        }
    }

    /// Turns the power on. Its images and volumes are those of the last time. Returns when its first process runs;
    /// the kubelet reports soon after.
    pub(crate) fn start(&self, all: &[NodeNumber], search_path: &std::ffi::OsStr) -> Result<()> {
        if self.state() != NodeState::Off {
            return Err(Error::Refused(format!("{} runs already", self.name())));
        }
        self.write_files()?;
        let group = self.group();
        group.create()?;
        link::create(self.number, all)?;

        let log = self.folder().join("init.log");
        let log = fs::File::create(&log).doing(|| format!("create {}", log.display()))?;
        let errors = log.try_clone().doing(|| "share a log".to_owned())?;
        // `nsenter --net` and not `ip netns exec`: that mounts /sys anew and so hides /sys/fs/cgroup.
        let mut init = Command::new("nsenter");
        init.arg(format!("--net=/run/netns/{}", self.number.namespace()));
        init.args([
            "unshare",
            "--mount",
            "--pid",
            "--uts",
            "--ipc",
            "--fork",
            "--kill-child=SIGKILL",
            "--mount-proc",
        ]);
        init.args(["--propagation", "private", "bash", "-c", INIT, "init"]);
        init.env("NODE", self.name()).env("NODE_DIR", self.folder()).env("CLUSTER_DIR", &self.cluster);
        init.env("NODE_IP", self.number.address().to_string()).env("PATH", search_path);
        let mut init = group.within(&init);
        init.stdin(Stdio::null()).stdout(log).stderr(errors).current_dir("/").process_group(0);
        init.spawn().doing(|| format!("start {}", self.name()))?;
        Ok(())
    }

    /// Turns the power off, without notice. A node that is off stays so.
    pub(crate) fn kill(&self) -> Result<()> {
        link::remove(self.number)?;
        self.group().remove()?;
        // The cable's other end disappears with the last process; until then it would be in a new one's way.
        link::remove(self.number)
    }

    /// A command in the node's namespaces, not yet started.
    pub(crate) fn exec(&self) -> Result<Command> {
        let mut inside = Command::new("nsenter");
        inside.args(["--target", &self.init()?.to_string()]);
        inside.args(["--mount", "--pid", "--net", "--uts", "--ipc", "--"]);
        Ok(inside)
    }

    /// Cuts the node off; its processes go on.
    pub(crate) fn partition(&self) -> Result<()> {
        self.must_be(&[NodeState::Running])?;
        link::unplug(self.number)
    }

    pub(crate) fn heal(&self) -> Result<()> {
        self.must_be(&[NodeState::Partitioned])?;
        link::plug_in(self.number)
    }

    /// Stops everything in the node where it is. Connections to it stay open.
    pub(crate) fn pause(&self) -> Result<()> {
        self.must_be(&[NodeState::Running, NodeState::Partitioned])?;
        self.group().freeze()
    }

    pub(crate) fn unpause(&self) -> Result<()> {
        self.must_be(&[NodeState::Paused])?;
        self.group().thaw()
    }

    fn must_be(&self, states: &[NodeState]) -> Result<()> {
        let now = self.state();
        if states.contains(&now) {
            return Ok(());
        }
        Err(Error::Refused(format!("{} is {now:?}, and has to be {states:?}", self.name()).to_lowercase()))
    }

    /// Imports an image into a running node, through containerd's socket as it looks from here.
    pub(crate) fn import(&self, ctr: &Path, archive: &Path) -> Result<()> {
        let socket = format!("/proc/{}/root{}", self.init()?, files::CONTAINERD_SOCKET);
        let mut import = Command::new(ctr);
        import.args([
            "--address",
            &socket,
            "--namespace",
            "k8s.io",
            "images",
            "import",
            "--digests=false",
            "--local",
        ]);
        output_of(import.arg(archive))?;
        let mark = self.folder().join("var/lib/imported").join(archive.file_name().unwrap_or_default());
        fs::write(&mark, "").doing(|| format!("write {}", mark.display()))
    }

    /// The node's first process, as this machine numbers it.
    fn init(&self) -> Result<i32> {
        let is_first = |pid: &i32| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
            // Its number here, and 1 inside. A pod's first process has a third.
            numbers.split_whitespace().skip(1).eq(["1"])
        };
        let found = self.group().processes().into_iter().find(is_first);
        found.ok_or_else(|| Error::Refused(format!("{} does not run; start it first", self.name())))
    }

    fn write_files(&self) -> Result<()> {
        let folder = self.folder();
        let cni = folder.join("cni");
        for directory in [
            "cni",
            "var/lib/containerd",
            "var/lib/imported",
            "var/lib/kubelet",
            "var/lib/volumes",
            "var/log/containers",
            "var/log/pods",
            "var/tmp",
        ] {
            let directory = folder.join(directory);
            fs::create_dir_all(&directory).doing(|| format!("create {}", directory.display()))?;
        }
        let pki = self.cluster.join("pki");
        let kube_proxy = files::kube_proxy(self.number, &pki.join("kube-proxy.kubeconfig"));
        let kubelet = files::kubelet(self.number, &self.group().absolute(), &pki);
        for (name, text) in [
            ("containerd.toml", files::containerd(&cni)),
            ("cni/10-pods.conflist", format!("{:#}", files::cni(self.number))),
            ("kubelet.json", format!("{kubelet:#}")),
            ("kube-proxy.json", format!("{kube_proxy:#}")),
        ] {
            fs::write(folder.join(name), text).doing(|| format!("write {name} of {}", self.name()))?;
        }
        Ok(())
    }
}
