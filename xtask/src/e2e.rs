//! `cargo xtask e2e`: the scenarios, on a real Kubernetes.
//!
//! The cluster is one that this machine brings up (plain processes, or kind) or any that a kubeconfig names. The
//! scenarios themselves (`e2e/scenarios`) see only what a user sees, so everything that depends on the kind of cluster
//! is here: images are built and loaded, and the programs that a user has are put on the PATH.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::{image, workspace};

/// Run the end-to-end scenarios on a real Kubernetes.
#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Run only the scenarios whose name contains one of these.
    #[arg(value_name = "FILTER")]
    filters: Vec<String>,
    /// On a cluster of plain processes, which is brought up for it (the default).
    #[arg(long)]
    processes: bool,
    /// On a cluster of kind, which is brought up for it.
    #[arg(long, conflicts_with = "processes")]
    kind: bool,
    /// On the cluster of this kubeconfig, which can pull the images or has them.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["processes", "kind"])]
    kubeconfig: Option<PathBuf>,
    /// What the images' names begin with, for a cluster that pulls them.
    #[arg(long, value_name = "NAME", default_value = REGISTRY)]
    registry: String,
    /// Only the scenarios that run on every kind of cluster.
    #[arg(long)]
    core: bool,
    /// First install the packages that the cluster needs, by name.
    #[arg(long)]
    pub(crate) install: bool,
    /// Leave the cluster up, and the namespaces of failed scenarios in it.
    #[arg(long)]
    keep: bool,
    /// List the scenarios and stop.
    #[arg(long)]
    list: bool,
}

const REGISTRY: &str = "greenroom.dev";

/// What is under test.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The version before it, as far as an upgrade is concerned: none has been released yet, so the same programs are also
/// packed under this one.
const PREVIOUS: &str = "0.0.9";

/// What `greenroom-e2e-cluster status` says.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    ready: bool,
    kubeconfig: Option<PathBuf>,
    audit_log: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let mut scenarios = scenarios(args)?;
    workspace::run(&mut scenarios.command)
}

/// All scenarios, on the cluster of plain processes.
pub(crate) fn on_processes() -> Args {
    Args { processes: true, registry: REGISTRY.into(), ..Args::default() }
}

/// The scenarios that run everywhere, on kind.
pub(crate) fn on_kind() -> Args {
    Args { kind: true, core: true, registry: REGISTRY.into(), ..Args::default() }
}

/// The command that runs the scenarios, with all that it needs. The cluster is there as long as this value.
pub(crate) struct Scenarios {
    pub(crate) command: Command,
    _cluster: Option<Running>,
}

/// A cluster that is taken down again when nobody needs it any more.
struct Running {
    tool: ClusterTool,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = self.tool.run(&["down"]) {
            eprintln!("the cluster could not be taken down: {error:#}");
        }
    }
}

/// Builds what is needed, brings the cluster up and loads the images.
pub(crate) fn scenarios(args: &Args) -> Result<Scenarios> {
    // What runs on this machine.
    let built =
        workspace::build(["greenroom-e2e", "greenroom-e2e-cluster", "greenroom-wordcount"]).status()?;
    ensure!(built.success(), "the scenarios cannot be built");
    let folder = workspace::root().join("target/e2e");
    let programs = workspace::root().join("target/debug");
    let mut command = workspace::command(programs.join("greenroom-e2e"));
    command.args(&args.filters).args(args.list.then_some("--list")).args(args.keep.then_some("--keep"));
    command.env("GREENROOM_E2E_WORDCOUNT", programs.join("greenroom-wordcount"));
    command.env("GREENROOM_E2E_SOURCES", workspace::root());
    command.env("GREENROOM_E2E_IMAGE", format!("{}/greenroom", args.registry));
    command.env("GREENROOM_E2E_VERSION", VERSION);
    command.env("GREENROOM_E2E_WORDCOUNT_IMAGE", format!("{}/greenroom-wordcount:{VERSION}", args.registry));
    if args.core {
        command.env("GREENROOM_E2E_CORE", "true");
    }
    if args.list {
        return Ok(Scenarios { command, _cluster: None });
    }

    let archives = images(&folder, &args.registry)?;
    let tool = ClusterTool { kind: args.kind };
    command.env("PATH", path(&folder.join("bin"), &tool)?);
    let Some(kubeconfig) = &args.kubeconfig else {
        let running = bring_up(tool, args.install, &archives)?;
        let status = tool.status()?;
        command.env("KUBECONFIG", status.kubeconfig.context("the cluster has no kubeconfig")?);
        command.env("GREENROOM_E2E_HOOKS", hooks(&folder, tool)?);
        command.env("GREENROOM_E2E_PREVIOUS", PREVIOUS);
        command.env(
            "GREENROOM_E2E_TOOLS_IMAGE",
            if args.kind { "kind.local/busybox:1" } else { "cluster.local/busybox:1" },
        );
        if let Some(log) = status.audit_log {
            command.env("GREENROOM_E2E_AUDIT_LOG", log);
        }
        if !args.kind {
            command.env("GREENROOM_E2E_NETWORK_POLICIES", "true");
        }
        return Ok(Scenarios { command, _cluster: running.filter(|_| !args.keep) });
    };
    command.env("KUBECONFIG", std::path::absolute(kubeconfig)?);
    Ok(Scenarios { command, _cluster: None })
}

/// Builds the images; their archives.
fn images(folder: &Path, registry: &str) -> Result<Vec<PathBuf>> {
    let output = folder.join("images");
    image::run(&image::Args::for_scenarios(registry, &[VERSION, PREVIOUS], &output))?;
    Ok(["greenroom", "greenroom-wordcount"].map(|name| output.join(format!("{name}.tar"))).to_vec())
}

/// A PATH with what a user has: kubectl, helm, and the plugin out of the image, all from a folder of their own.
fn path(folder: &Path, tool: &ClusterTool) -> Result<std::ffi::OsString> {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder)?;
    let tools = tool.output(&["tools", "kubectl", "helm"])?;
    for program in tools.lines().map(Path::new) {
        symlink(program, folder.join(program.file_name().context("a tool without a name")?))?;
    }
    symlink(image::built("greenroom", image::Profile::Dev), folder.join("kubectl-greenroom"))?;
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_owned()).chain(std::env::split_paths(&inherited));
    Ok(std::env::join_paths(folders)?)
}

/// Starts the cluster and loads the images. `None` if it ran before: then it is somebody's, and stays.
fn bring_up(tool: ClusterTool, install: bool, archives: &[PathBuf]) -> Result<Option<Running>> {
    let ran_before = tool.status().is_ok_and(|status| status.ready);
    let running = (!ran_before).then_some(Running { tool });
    tool.run(if install { &["up", "--install"] } else { &["up"] })?;
    for archive in archives {
        tool.run(&["load-image", &archive.to_string_lossy()])?;
    }
    Ok(running)
}

/// A program that does to a node what the scenarios ask for.
fn hooks(folder: &Path, tool: ClusterTool) -> Result<PathBuf> {
    let file = folder.join("hooks");
    let flavour = tool.flavour();
    fs::write(
        &file,
        format!("#!/bin/sh\nexec {} {flavour} \"$@\"\n", Path::new(cluster_tool().get_program()).display()),
    )?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
    Ok(file)
}

/// The program that brings clusters up, as it was built last.
pub(crate) fn cluster_tool() -> Command {
    workspace::command(workspace::root().join("target/debug/greenroom-e2e-cluster"))
}

/// The program that knows how a cluster is brought up.
#[derive(Clone, Copy)]
struct ClusterTool {
    kind: bool,
}

impl ClusterTool {
    fn flavour(self) -> &'static str {
        if self.kind { "--kind" } else { "--processes" }
    }

    fn command(self, arguments: &[&str]) -> Command {
        let mut command = cluster_tool();
        command.arg(self.flavour()).args(arguments);
        command
    }

    fn run(self, arguments: &[&str]) -> Result<()> {
        let status = self.command(arguments).status().context("cannot start greenroom-e2e-cluster")?;
        ensure!(status.success(), "the cluster's `{}` failed", arguments.join(" "));
        Ok(())
    }

    fn output(self, arguments: &[&str]) -> Result<String> {
        let mut command = self.command(arguments);
        let output = command.stderr(std::process::Stdio::inherit()).output()?;
        ensure!(output.status.success(), "the cluster's `{}` failed", arguments.join(" "));
        Ok(String::from_utf8(output.stdout)?)
    }

    fn status(self) -> Result<Status> {
        Ok(serde_json::from_str(&self.output(&["status"])?)?)
    }
}
