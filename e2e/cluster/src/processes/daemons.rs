//! The processes beside the nodes, each in a control group of its own: the control plane, which can be stopped like a
//! node, and the agents, which cannot.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::cgroup::Group;
use crate::error::{Doing, Result};
use crate::flags::{self, ApiServer, file};
use crate::network::{self, port};
use crate::ready::{self, Ended};
use crate::supply::{Supply, Tool};

pub(super) struct Daemons<'a> {
    folder: &'a Path,
    supply: &'a Supply,
    pki: PathBuf,
}

impl<'a> Daemons<'a> {
    /// Those of the cluster in `folder`, with the keys in `folder/pki`.
    pub(super) fn new(folder: &'a Path, supply: &'a Supply) -> Self {
        Self { folder, supply, pki: folder.join("pki") }
    }

    /// Starts etcd and the API server, and waits until it serves.
    pub(super) async fn start_api_server(&self, client: &kube::Client) -> Result<()> {
        let etcd = flags::etcd(&self.folder.join("etcd"), port::ETCD, port::ETCD_PEER);
        let mut etcd = self.start_tool(Tool::Etcd, &etcd)?;
        let pki = &self.pki;
        let mut arguments = flags::api_server(&ApiServer {
            listen: network::API_SERVER,
            etcd_port: port::ETCD,
            service_range: network::SERVICE_RANGE,
            pki,
            audit_log: &self.folder.join(file::AUDIT_LOG),
        });
        arguments.extend(flags::with_nodes(pki));
        let mut api_server = self.start_tool(Tool::KubeApiserver, &arguments)?;
        let blame = |tool: Tool| Ended { program: tool.name().to_owned(), log: self.log(tool.name()) };
        let is_gone = |child: &mut Child| matches!(child.try_wait(), Ok(Some(_)));
        let ended = || {
            let etcd = is_gone(&mut etcd).then_some(Tool::Etcd);
            etcd.or_else(|| is_gone(&mut api_server).then_some(Tool::KubeApiserver)).map(blame)
        };
        ready::api_server(client, blame(Tool::KubeApiserver), ended).await
    }

    pub(super) fn start_controllers(&self) -> Result<()> {
        let kubeconfig = |name: &str| self.pki.join(format!("{name}.kubeconfig"));
        let pki = &self.pki;
        let manager =
            flags::controller_manager(&kubeconfig("controller-manager"), port::CONTROLLER_MANAGER, pki);
        self.start_tool(Tool::KubeControllerManager, &manager)?;
        self.start_tool(Tool::KubeScheduler, &flags::scheduler(&kubeconfig("scheduler"), port::SCHEDULER))?;
        Ok(())
    }

    /// `program` is our own, which goes on as DNS server, provisioner of volumes and enforcer of network policies.
    pub(super) fn start_agents(&self, program: &Path) -> Result<()> {
        let mut command = Command::new(program);
        command.arg("agents").arg("--cluster").arg(self.folder);
        command.arg("--kubeconfig").arg(self.pki.join("agents.kubeconfig"));
        self.start(&Group::root().child("agents"), "agents", &command)?;
        Ok(())
    }

    fn start_tool(&self, tool: Tool, arguments: &[String]) -> Result<Child> {
        // A busy machine must not make the control plane believe that nodes are lost.
        let mut command = Command::new("nice");
        command.args(["-n", "-5"]).arg(self.supply.path(tool)).args(arguments);
        self.start(&control().child(tool.name()), tool.name(), &command)
    }

    fn start(&self, group: &Group, name: &str, command: &Command) -> Result<Child> {
        group.create()?;
        let log = self.log(name);
        let output = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .doing(|| format!("open {}", log.display()))?;
        let errors = output.try_clone().doing(|| "share a log".to_owned())?;
        let mut command = group.within(command);
        // A group of its own, so that Ctrl-C in the terminal that started it does not reach it.
        command.stdin(Stdio::null()).stdout(output).stderr(errors).current_dir(self.folder).process_group(0);
        command.spawn().doing(|| format!("start {name}"))
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }
}

/// The control group of the control plane.
pub(super) fn control() -> Group {
    Group::root().child("control")
}
