//! The container engine: the one of this machine, or a private one.
//!
//! The private dockerd lives in a network namespace of its own, so that its firewall rules and its forwarding never
//! touch the machine, and nothing leaves the namespace: a link to the machine is its only one, and its default route
//! says "unreachable", which a program notices at once. kind publishes the API server at its end of that link.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::error::{Doing, Error, Result, output_of, tail};

/// The private engine's network namespace, its end of the link and the machine's.
const NAMESPACE: &str = "greenroom-kind";
const ADDRESS: &str = "10.201.0.2";
const OUR_END: &str = "10.201.0.1";
const OUR_LINK: &str = "grkind0";

const PACKAGES: [(&str, &str); 2] =
    [("/usr/sbin/dockerd", "docker.io"), ("/usr/bin/mmdebstrap", "mmdebstrap")];

/// How long dockerd may take to answer.
const STARTS_WITHIN: Duration = Duration::from_secs(30);

/// A container engine.
#[derive(Debug)]
pub(super) enum Engine {
    /// It runs anyway.
    OfTheMachine,
    /// Ours, with all that it keeps in this folder.
    Ours { folder: PathBuf },
}

/// Installs what the private engine needs, if that is allowed.
pub(super) fn install(allowed: bool) -> Result<()> {
    crate::supply::debian::ensure_these(&PACKAGES, allowed)
}

impl Engine {
    /// The engine of this machine, if one answers; else ours.
    pub(super) fn find(folder: &Path) -> Self {
        let mut probe = Command::new("docker");
        probe.args(["info"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        match probe.status() {
            Ok(status) if status.success() => Self::OfTheMachine,
            _ => Self::Ours { folder: folder.join("engine") },
        }
    }

    pub(super) fn is_ours(&self) -> bool {
        matches!(self, Self::Ours { .. })
    }

    /// Where what it publishes can be reached.
    pub(super) fn address(&self) -> &'static str {
        if self.is_ours() { ADDRESS } else { "127.0.0.1" }
    }

    /// Makes a command talk to this engine.
    pub(super) fn point<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        match self {
            Self::OfTheMachine => command,
            Self::Ours { folder } => {
                // Debian's own client first: one of another origin may be too new for its dockerd.
                command.env("PATH", "/usr/bin:/usr/sbin:/bin:/sbin").env("DOCKER_HOST", socket(folder))
            }
        }
    }

    /// `docker`, for this engine.
    pub(super) fn docker(&self) -> Command {
        let mut docker = Command::new(if self.is_ours() { "/usr/bin/docker" } else { "docker" });
        self.point(&mut docker);
        docker
    }

    /// A program inside of the engine's network namespace.
    pub(super) fn inside(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        match self {
            Self::OfTheMachine => Command::new(program),
            Self::Ours { .. } => {
                // Not `ip netns exec`: that mounts /sys anew, and so hides /sys/fs/cgroup.
                let mut nsenter = Command::new("nsenter");
                nsenter.arg(format!("--net=/run/netns/{NAMESPACE}")).arg("--").arg(program);
                nsenter
            }
        }
    }

    pub(super) fn is_running(&self) -> bool {
        output_of(self.docker().args(["version", "--format", "{{.Server.Version}}"])).is_ok()
    }

    /// Starts the engine, if it is ours and does not run.
    /// `program` is `greenroom-e2e-cluster`, which stands between dockerd and runc.
    pub(super) fn start(&self, program: &Path) -> Result<()> {
        let Self::Ours { folder } = self else { return Ok(()) };
        if self.is_running() {
            return Ok(());
        }
        fs::create_dir_all(folder).doing(|| format!("create {}", folder.display()))?;
        namespace()?;
        // The runtime is this very program, under another name: dockerd gives it no arguments of ours.
        let runtime = folder.join(super::oci_runtime::NAME);
        fs::copy(program, &runtime).doing(|| format!("copy {}", program.display()))?;
        let log_file = folder.join("dockerd.log");
        let log = fs::File::create(&log_file).doing(|| format!("create {}", log_file.display()))?;
        let errors = log.try_clone().doing(|| "share the log".to_owned())?;
        let mut dockerd = self.inside("/usr/bin/setsid");
        dockerd.arg("/usr/sbin/dockerd").args(["--host", &socket(folder)]);
        dockerd.arg("--data-root").arg(folder.join("data")).arg("--exec-root").arg(folder.join("run"));
        dockerd.arg("--pidfile").arg(pid_file(folder));
        dockerd
            .arg("--add-runtime")
            .arg(format!("fit={}", runtime.display()))
            .args(["--default-runtime", "fit"]);
        // An address that has no route: Docker's name server then answers strangers' names at once.
        dockerd.args(["--storage-driver", "overlay2", "--oom-score-adjust", "0", "--dns", "192.0.2.1"]);
        dockerd.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        dockerd.stdin(Stdio::null()).stdout(log).stderr(errors);
        dockerd.spawn().doing(|| "start dockerd".to_owned())?;
        let begun = Instant::now();
        while !self.is_running() {
            if begun.elapsed() > STARTS_WITHIN {
                let log = tail(&log_file, 10);
                return Err(Error::NotReady { what: "dockerd".into(), waited: STARTS_WITHIN, log });
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Ends the engine if it is ours, and takes its network away; what it has built stays.
    pub(super) fn stop(&self) -> Result<()> {
        let Self::Ours { folder } = self else { return Ok(()) };
        let pid = fs::read_to_string(pid_file(folder)).ok().and_then(|text| text.trim().parse::<i32>().ok());
        if let Some(pid) = pid.filter(|pid| is_our_dockerd(*pid, folder)) {
            let _ = output_of(Command::new("kill").arg(pid.to_string()));
            let begun = Instant::now();
            while is_our_dockerd(pid, folder) && begun.elapsed() < STARTS_WITHIN {
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        if Path::new("/run/netns").join(NAMESPACE).exists() {
            output_of(Command::new("ip").args(["netns", "del", NAMESPACE]))?;
        }
        remove_cgroups();
        Ok(())
    }
}

fn socket(folder: &Path) -> String {
    format!("unix://{}", folder.join("docker.sock").display())
}

fn pid_file(folder: &Path) -> PathBuf {
    folder.join("docker.pid")
}

/// Whether the process is the dockerd that works in this folder, and not one that got its number later.
fn is_our_dockerd(pid: i32, folder: &Path) -> bool {
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let command = String::from_utf8_lossy(&command);
    command.starts_with("/usr/sbin/dockerd") && command.contains(&*folder.to_string_lossy())
}

/// Makes the namespace with its one link, unless it is there.
fn namespace() -> Result<()> {
    if Path::new("/run/netns").join(NAMESPACE).exists() {
        return Ok(());
    }
    let ip = |arguments: &str| output_of(Command::new("ip").args(arguments.split(' '))).map(drop);
    ip(&format!("netns add {NAMESPACE}"))?;
    ip(&format!("link add {OUR_LINK} type veth peer name eth0 netns {NAMESPACE}"))?;
    ip(&format!("addr add {OUR_END}/30 dev {OUR_LINK}"))?;
    ip(&format!("link set {OUR_LINK} up"))?;
    for inside in [
        "link set lo up".to_owned(),
        format!("addr add {ADDRESS}/30 dev eth0"),
        "link set eth0 up".to_owned(),
        "route add unreachable default".to_owned(),
    ] {
        ip(&format!("-n {NAMESPACE} {inside}"))?;
    }
    // 128, the default, is too few for three nodes.
    for limit in ["max_user_instances=1024", "max_user_watches=524288"] {
        output_of(Command::new("sysctl").args(["-qw", &format!("fs.inotify.{limit}")]))?;
    }
    Ok(())
}

/// dockerd leaves the empty groups that it made for its containers.
fn remove_cgroups() {
    let Ok(hierarchies) = fs::read_dir("/sys/fs/cgroup") else { return };
    for hierarchy in hierarchies.flatten() {
        let group = hierarchy.path().join("docker");
        if group.is_dir() {
            let _ = output_of(
                Command::new("find")
                    .arg(group)
                    .args(["-depth", "-type", "d", "-empty", "-exec", "rmdir", "{}", "+"]),
            );
        }
    }
}
