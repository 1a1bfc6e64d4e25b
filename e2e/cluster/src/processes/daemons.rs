//! The processes beside the nodes: control plane and agents, each in a control group of its own.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::cgroup::Group;
use crate::credentials::Credentials;
use crate::error::{Doing, Result};
use crate::flags::{self, ApiServer, file};
use crate::network::{self, port};
use crate::ready::{self, Ended};
use crate::supply::{Supply, Tool};

pub(super) struct Daemons<'a> {
    folder: &'a Path,
    supply: &'a Supply,
    credentials: &'a Credentials,
}

impl<'a> Daemons<'a> {
    pub(super) fn new(folder: &'a Path, supply: &'a Supply, credentials: &'a Credentials) -> Self {
        Self { folder, supply, credentials }
    }

    /// Starts etcd and the API server, and waits until it serves.
    pub(super) async fn start_api_server(&self, client: &kube::Client) -> Result<()> {
        let etcd = flags::etcd(&self.folder.join("etcd"), port::ETCD, port::ETCD_PEER);
        let mut etcd = self.start_tool(Tool::Etcd, &etcd)?;
        let pki = self.credentials.folder();
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
        let kubeconfig = |name: &str| self.credentials.path(&format!("{name}.kubeconfig"));
        let pki = self.credentials.folder();
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
        command.arg("--kubeconfig").arg(self.credentials.path("agents.kubeconfig"));
        self.start("agents", &command)?;
        Ok(())
    }

    fn start_tool(&self, tool: Tool, arguments: &[String]) -> Result<Child> {
        // A busy machine must not make the control plane believe that nodes are lost.
        let mut command = Command::new("nice");
        command.args(["-n", "-5"]).arg(self.supply.path(tool)).args(arguments);
        self.start(tool.name(), &command)
    }

    fn start(&self, name: &str, command: &Command) -> Result<Child> {
        let group = group(name);
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

/// The control group of a process beside the nodes.
fn group(name: &str) -> Group {
    Group::root().child("control").child(name)
}
