//! A control plane for tests: a real etcd and a real kube-apiserver on loopback, without nodes.
//!
//! It is what a test of a client, an operator or an extension API server needs: schemas, admission, RBAC, watches and
//! aggregation are the real ones, and it is ready in three seconds. Nothing runs pods; with
//! [`Options::controller_manager`] at least the objects are made (pods of a StatefulSet, service accounts, garbage
//! collection, deletion of namespaces). Each instance has ports, keys and a folder of its own, so tests run side by side.
//!
//! All processes belong to one process group whose leader is a [`Watchdog`]: they end when the value is dropped, and
//! also when the test that holds it is killed, or when it sits in a `static` and the process ends.

mod watchdog;

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use self::watchdog::Watchdog;
use crate::credentials::Credentials;
use crate::error::{Doing, Error, Result, output_of};
use crate::flags;
use crate::kubeconfig::{self, Credential};
use crate::pki::Subject;
use crate::ready::{self, Ended};
use crate::supply::{Supply, Tool};

/// How often a start is tried again: a port may be taken between its choice and its use.
const STARTS_MAX: u32 = 3;

/// What runs beside etcd and the API server.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Also run the controller-manager.
    pub controller_manager: bool,
    /// Arguments for the API server after our own, such as `--feature-gates=…`.
    pub api_server_args: Vec<String>,
}

/// A running control plane. It ends when this is dropped.
pub struct ControlPlane {
    options: Options,
    supply: Supply,
    ports: Ports,
    credentials: Credentials,
    client: kube::Client,
    processes: Mutex<Processes>,
}

/// The fields are dropped in this order: first the processes end, then their folder goes.
struct Processes {
    api_server: Option<Child>,
    others: Vec<Child>,
    watchdog: Watchdog,
    _folder: tempfile::TempDir,
}

#[derive(Clone, Copy)]
struct Ports {
    api_server: u16,
    etcd: u16,
    etcd_peer: u16,
    controller_manager: u16,
}

impl ControlPlane {
    /// Starts etcd and an API server, after building what this machine lacks, and waits until they serve.
    ///
    /// # Errors
    /// When a program cannot be built or does not become ready; the error holds the end of its log.
    pub async fn start() -> Result<Self> {
        Self::start_with(Options::default()).await
    }

    /// Like [`start`](Self::start), with more or other parts.
    ///
    /// # Errors
    /// As for `start`. When the future is dropped, what was started ends.
    pub async fn start_with(options: Options) -> Result<Self> {
        let mut tools = vec![Tool::Etcd, Tool::KubeApiserver, Tool::Kubectl];
        tools.extend(options.controller_manager.then_some(Tool::KubeControllerManager));
        let supply = Supply::ensure(&tools).await?;
        let mut tries = 1;
        loop {
            match Self::try_start(options.clone(), supply.clone()).await {
                Err(Error::NotReady { log, .. })
                    if tries < STARTS_MAX && log.contains("address already in use") =>
                {
                    tries += 1;
                }
                outcome => return outcome,
            }
        }
    }

    async fn try_start(options: Options, supply: Supply) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("control-plane-").tempdir();
        let folder = folder.doing(|| "create a temporary folder".to_owned())?;
        let ports = Ports::choose()?;
        let server = format!("https://127.0.0.1:{}", ports.api_server);
        let serves = [Ipv4Addr::LOCALHOST.into()];
        let credentials = Credentials::make(&folder.path().join("pki"), &server, &serves)?;
        let client = kubeconfig::client(&credentials.admin()).await?;
        let watchdog = Watchdog::start(folder.path())?;
        let processes = Processes { api_server: None, others: Vec::new(), watchdog, _folder: folder };
        let plane = Self { options, supply, ports, credentials, client, processes: Mutex::new(processes) };
        plane.start_etcd()?;
        plane.start_api_server().await?;
        if plane.options.controller_manager {
            plane.start_controller_manager()?;
        }
        Ok(plane)
    }

    /// The kubeconfig of a user who may do everything: `admin` in `system:masters`.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.credentials.admin()
    }

    /// Writes a kubeconfig for `user` with a client certificate. The user may do what RBAC says of the name and of the
    /// groups, of which there can be two. A service account's full name (`system:serviceaccount:NAMESPACE:NAME`)
    /// works too; [`kubeconfig_for_service_account`](Self::kubeconfig_for_service_account) is closer to a pod.
    ///
    /// # Errors
    /// With more than two groups, or when the file cannot be written.
    pub fn kubeconfig_for(&self, user: &str, groups: &[&str]) -> Result<PathBuf> {
        let subject = Subject { user, groups, serves: &[] };
        self.credentials.kubeconfig(&file_name(user), &subject)
    }

    /// Writes a kubeconfig with an hour's token for a service account that exists, as a pod would have it.
    ///
    /// # Errors
    /// When there is no such service account.
    pub fn kubeconfig_for_service_account(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        let token = output_of(self.kubectl().args(["create", "token", name, "--namespace", namespace]))?;
        let file = file_name(&format!("{namespace}-{name}-token"));
        self.credentials.kubeconfig_with(&file, &Credential::Token(token.trim()))
    }

    /// A client with all rights.
    #[must_use]
    pub fn client(&self) -> kube::Client {
        self.client.clone()
    }

    /// `https://127.0.0.1:PORT`; it stays the same when the API server is started again.
    #[must_use]
    pub fn server_url(&self) -> String {
        format!("https://127.0.0.1:{}", self.ports.api_server)
    }

    /// The API server's audit log: an `audit.k8s.io/v1` event as JSON per line, written before the answer leaves.
    #[must_use]
    pub fn audit_log(&self) -> PathBuf {
        self.folder().join(flags::file::AUDIT_LOG)
    }

    /// The certificate authority of the API server and its users, PEM.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.credentials.path(flags::file::CA)
    }

    /// `kubectl` with all rights.
    #[must_use]
    pub fn kubectl(&self) -> Command {
        let mut kubectl = Command::new(self.supply.path(Tool::Kubectl));
        // Discovery is cached by address, and another control plane may have had ours before.
        kubectl.env("KUBECONFIG", self.kubeconfig()).env("KUBECACHEDIR", self.folder().join("kubectl-cache"));
        kubectl
    }

    /// Waits until the API server serves the objects of every definition of a custom resource.
    ///
    /// # Errors
    /// When that takes longer than half a minute.
    pub fn await_definitions(&self) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let mut wait = self.kubectl();
            wait.args(["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"]);
            match output_of(&mut wait) {
                // One that is so new has no list of conditions yet, which kubectl takes for a mistake.
                Err(error) if error.to_string().contains("accessor error") && Instant::now() < end => {}
                outcome => return outcome.map(drop),
            }
        }
    }

    /// Ends the API server without notice (SIGKILL) and waits until it is gone. etcd goes on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill_api_server(&self) -> Result<()> {
        let mut processes = self.processes();
        let mut api_server = processes.api_server.take().ok_or_else(not_running)?;
        // `wait` returns when the last thread is gone: only then is the port free again.
        api_server.kill().and_then(|()| api_server.wait()).doing(|| "end the API server".to_owned())?;
        Ok(())
    }

    /// Starts the API server again at its old address and waits until it is ready.
    ///
    /// # Errors
    /// When it runs already, or does not become ready.
    pub async fn start_api_server(&self) -> Result<()> {
        let mut arguments = flags::api_server(&flags::ApiServer {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports.api_server)),
            etcd_port: self.ports.etcd,
            service_range: "10.96.0.0/16",
            pki: self.credentials.folder(),
            audit_log: &self.audit_log(),
        });
        arguments.extend(flags::without_nodes(self.options.controller_manager));
        arguments.extend(self.options.api_server_args.iter().cloned());
        {
            let mut processes = self.processes();
            if processes.api_server.is_some() {
                return Err(Error::Refused("the API server runs already; kill it first".to_owned()));
            }
            processes.api_server = Some(self.spawn(&processes.watchdog, Tool::KubeApiserver, &arguments)?);
        }
        self.ready().await
    }

    /// Stops the API server where it is (SIGSTOP): connections stay open and nothing answers. Returns when the last of its
    /// threads stands still, which is a moment after the signal.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause_api_server(&self) -> Result<()> {
        let api_server = self.signal_api_server(Signal::STOP)?;
        waitid(WaitId::Pid(api_server), WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT)
            .map(drop)
            .map_err(std::io::Error::from)
            .doing(|| "wait until the API server stands still".to_owned())
    }

    /// Lets a paused API server go on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume_api_server(&self) -> Result<()> {
        self.signal_api_server(Signal::CONT).map(drop)
    }

    fn signal_api_server(&self, signal: Signal) -> Result<Pid> {
        let processes = self.processes();
        let api_server = Pid::from_child(processes.api_server.as_ref().ok_or_else(not_running)?);
        kill_process(api_server, signal)
            .map(|()| api_server)
            .map_err(std::io::Error::from)
            .doing(|| "signal the API server".to_owned())
    }

    fn start_etcd(&self) -> Result<()> {
        let data = self.folder().join("etcd");
        let mut processes = self.processes();
        let arguments = flags::etcd(&data, self.ports.etcd, self.ports.etcd_peer);
        let etcd = self.spawn(&processes.watchdog, Tool::Etcd, &arguments)?;
        processes.others.push(etcd);
        Ok(())
    }

    fn start_controller_manager(&self) -> Result<()> {
        let subject = Subject { user: "system:kube-controller-manager", ..Subject::default() };
        let kubeconfig = self.credentials.kubeconfig("controller-manager", &subject)?;
        let port = self.ports.controller_manager;
        let arguments = flags::controller_manager(&kubeconfig, port, self.credentials.folder());
        let mut processes = self.processes();
        let manager = self.spawn(&processes.watchdog, Tool::KubeControllerManager, &arguments)?;
        processes.others.push(manager);
        Ok(())
    }

    fn spawn(&self, watchdog: &Watchdog, tool: Tool, arguments: &[String]) -> Result<Child> {
        let log = self.log(tool);
        let log = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .doing(|| format!("open {}", log.display()))?;
        let errors = log.try_clone().doing(|| "share a log".to_owned())?;
        let mut command = Command::new(self.supply.path(tool));
        command.args(arguments).current_dir(self.folder()).stdin(Stdio::null()).stdout(log).stderr(errors);
        watchdog.guard(&mut command);
        command.spawn().doing(|| format!("start {}", tool.name()))
    }

    /// Waits for `/readyz`, or for the end of a process that should run.
    async fn ready(&self) -> Result<()> {
        let blame = |tool: Tool| Ended { program: tool.name().to_owned(), log: self.log(tool) };
        ready::api_server(&self.client, blame(Tool::KubeApiserver), || self.processes().ended().map(blame))
            .await
    }

    fn log(&self, tool: Tool) -> PathBuf {
        self.folder().join(format!("{}.log", tool.name()))
    }

    fn folder(&self) -> &Path {
        self.credentials.folder().parent().expect("the credentials lie in a folder of ours")
    }

    fn processes(&self) -> std::sync::MutexGuard<'_, Processes> {
        self.processes.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Processes {
    /// Which process of a starting control plane is gone.
    fn ended(&mut self) -> Option<Tool> {
        let gone = |child: &mut Child| matches!(child.try_wait(), Ok(Some(_)));
        if self.others.iter_mut().any(gone) {
            return Some(Tool::Etcd);
        }
        self.api_server.as_mut().is_some_and(gone).then_some(Tool::KubeApiserver)
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for child in self.api_server.iter_mut().chain(&mut self.others) {
            // Both fail only for a process that is gone, which is what we want.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Ports {
    /// Free ports below those that the kernel hands to clients, so that a server that is down for a moment does not
    /// lose its port to somebody's outgoing connection.
    fn choose() -> Result<Self> {
        let mut held = Vec::new();
        while held.len() < 4 {
            if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, fastrand::u16(10_000..32_000))) {
                held.push(listener);
            }
        }
        let port = |index: usize| -> Result<u16> {
            Ok(held[index].local_addr().doing(|| "read the port of a listener".to_owned())?.port())
        };
        Ok(Self { api_server: port(0)?, etcd: port(1)?, etcd_peer: port(2)?, controller_manager: port(3)? })
    }
}

fn not_running() -> Error {
    Error::Refused("the API server does not run; start it first".to_owned())
}

/// A file name for whatever a user may be called.
fn file_name(user: &str) -> String {
    user.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}
