//! A cluster of plain processes: a control plane on this machine, and nodes in namespaces.
//!
//! `up` takes six seconds and needs no container engine, no systemd and no registry, but root. Everything that runs
//! is in the control group `grcl`, everything that is written lies in one folder of the cache, and all links and
//! namespaces have fixed names: so `down` finds all of it, also after a crash.

mod addons;
mod daemons;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Node as NodeObject, ServiceAccount};
use kube::Api;

use self::daemons::{Daemons, control};
use crate::cgroup::{self, Group};
use crate::cluster::{Cluster, NodeAction, NodeStatus, Plan, Status};
use crate::credentials::Credentials;
use crate::error::{Doing, Error, Result};
use crate::flags::file;
use crate::network::{self, NodeNumber};
use crate::node::{self, Node, NodeState};
use crate::pki::{self, Subject};
use crate::supply::{self, CORE, Supply, Tool};
use crate::{image, kubeconfig, ready};

/// For how long nodes may take to be ready. They take two seconds on an idle machine.
const NODES_LIMIT: Duration = Duration::from_secs(120);

/// What the control plane is called where a node is named.
const CONTROL_PLANE: &str = "control-plane";

/// The cluster of plain processes of this machine. It may run or not.
#[derive(Debug)]
pub struct ProcessCluster {
    folder: PathBuf,
}

impl ProcessCluster {
    /// Names the cluster; nothing is started.
    ///
    /// # Errors
    /// When there is no place for it, see [`supply::cache_dir`].
    pub fn new() -> Result<Self> {
        let folder = supply::cache_dir()?.join("cluster");
        // A node mounts its own over these, and would not see its files any more.
        if let Some(hidden) = ["/var", "/run", "/proc"].iter().find(|&hidden| folder.starts_with(hidden)) {
            let message = format!("a cluster cannot lie in {hidden}; set GREENROOM_CACHE to another folder");
            return Err(Error::Refused(message));
        }
        Ok(Self { folder })
    }

    fn pki(&self) -> PathBuf {
        self.folder.join("pki")
    }

    fn images(&self) -> PathBuf {
        self.folder.join("images")
    }

    /// One command at a time changes a cluster. The lock ends with the handle.
    fn lock(&self) -> Result<File> {
        let path = self.folder.with_extension("lock");
        let parent = self.folder.parent().expect("the cluster lies in a folder of the cache");
        fs::create_dir_all(parent).doing(|| format!("create {}", parent.display()))?;
        let lock = File::create(&path).doing(|| format!("create {}", path.display()))?;
        if lock.try_lock().is_err() {
            eprintln!("waiting for another command on this cluster …");
            lock.lock().doing(|| format!("lock {}", path.display()))?;
        }
        Ok(lock)
    }

    /// The nodes that the cluster was made with.
    fn nodes(&self) -> Vec<Node> {
        self.numbers().into_iter().map(|number| Node::new(number, &self.folder)).collect()
    }

    fn numbers(&self) -> Vec<NodeNumber> {
        NodeNumber::first(NodeNumber::MAX).filter(|number| self.folder.join(number.name()).is_dir()).collect()
    }

    fn node_named(&self, name: &str) -> Result<Node> {
        let number = NodeNumber::parse(name)?;
        let found = self.nodes().into_iter().find(|node| node.name() == number.name());
        found.ok_or_else(|| {
            Error::Refused(format!("the cluster has no {name}; it has {} nodes", self.nodes().len()))
        })
    }

    async fn is_ready(&self) -> bool {
        match self.kubeconfig() {
            Ok(path) => match kubeconfig::client(&path).await {
                Ok(client) => ready::is_ready(&client).await,
                Err(_) => false,
            },
            Err(_) => false,
        }
    }

    /// From nothing to nodes that are ready.
    async fn make(&self, plan: &Plan, supply: &Supply) -> Result<()> {
        let mut steps = Steps::new();
        let numbers: Vec<NodeNumber> = NodeNumber::first(plan.nodes).collect();
        let credentials = self.make_files(&numbers)?;
        node::create_bridge(&numbers)?;
        raise_inotify_limits()?;
        steps.done("keys, network");

        let daemons = Daemons::new(&self.folder, supply);
        let client = kubeconfig::client(&credentials.admin()).await?;
        daemons.start_api_server(&client).await?;
        steps.done("API server");
        daemons.start_controllers()?;
        let search_path = supply.search_path(&CORE);
        for &number in &numbers {
            Node::new(number, &self.folder).start(&numbers, &search_path)?;
        }
        addons::create(&client).await?;
        daemons.start_agents(&plan.program)?;
        steps.done("controllers, nodes, agents started");

        self.wait_for_nodes(&client, numbers.len()).await?;
        steps.done("nodes ready");
        Ok(())
    }

    /// Does to API server, etcd, controller-manager and scheduler what is done to a node. Names are still answered.
    async fn control_plane(&self, action: NodeAction, supply: &Supply) -> Result<()> {
        match action {
            NodeAction::Kill => control().kill(),
            NodeAction::Pause => control().freeze(),
            NodeAction::Unpause => control().thaw(),
            NodeAction::Start if !control().processes().is_empty() => {
                Err(Error::Refused("the control plane runs already".to_owned()))
            }
            NodeAction::Start => {
                let daemons = Daemons::new(&self.folder, supply);
                daemons.start_api_server(&kubeconfig::client(&self.kubeconfig()?).await?).await?;
                daemons.start_controllers()
            }
            NodeAction::Partition | NodeAction::Heal => {
                Err(Error::Refused("the control plane has no link of its own; pause it".to_owned()))
            }
        }
    }

    /// Writes keys, the images that every cluster has, and the nodes' folders.
    fn make_files(&self, numbers: &[NodeNumber]) -> Result<Credentials> {
        for folder in [self.images(), self.folder.join("etcd")] {
            fs::create_dir_all(&folder).doing(|| format!("create {}", folder.display()))?;
        }
        let server = format!("https://{}", network::API_SERVER);
        let serves =
            [network::HOST.into(), network::API_SERVICE.into(), std::net::Ipv4Addr::LOCALHOST.into()];
        let credentials = Credentials::make(&self.pki(), &server, &serves)?;
        let as_user = |user| Subject { user, ..Subject::default() };
        credentials.kubeconfig("controller-manager", &as_user("system:kube-controller-manager"))?;
        credentials.kubeconfig("scheduler", &as_user("system:kube-scheduler"))?;
        credentials.kubeconfig("kube-proxy", &as_user("system:kube-proxy"))?;
        credentials
            .kubeconfig("agents", &Subject { groups: &["system:masters"], ..as_user("cluster-agents") })?;
        for number in numbers {
            let (name, address) = (number.name(), number.address().into());
            // The address lets the API server check whom it talks to for logs and exec.
            let serves = [pki::dns(&name)?, pki::ip(address)];
            let user = format!("system:node:{name}");
            let subject = Subject { user: &user, groups: &["system:nodes"], serves: &serves };
            credentials.issue(&name, &subject)?;
            credentials.kubeconfig(&name, &Subject { serves: &[], ..subject })?;
            let folder = self.folder.join(&name);
            fs::create_dir_all(&folder).doing(|| format!("create {}", folder.display()))?;
        }
        image::pause().write(&self.images().join("pause.tar"))?;
        image::busybox("cluster.local/busybox:1")?.write(&self.images().join("busybox.tar"))?;
        Ok(credentials)
    }

    /// Waits until all nodes are ready and bare pods are accepted.
    async fn wait_for_nodes(&self, client: &kube::Client, count: usize) -> Result<()> {
        let nodes: Api<NodeObject> = Api::all(client.clone());
        let accounts: Api<ServiceAccount> = Api::default_namespaced(client.clone());
        let start = Instant::now();
        loop {
            let ready =
                nodes.list(&Default::default()).await?.items.iter().filter(|node| is_ready(node)).count();
            // Before it exists, a pod that no controller repeats is refused; nodes can be faster than that.
            if ready == count && accounts.get_opt("default").await?.is_some() {
                return Ok(());
            }
            if start.elapsed() > NODES_LIMIT {
                let log = self.folder.join("node1/kubelet.log");
                let what = format!("{} of {count} nodes", count - ready.min(count));
                return Err(Error::NotReady {
                    what,
                    waited: start.elapsed(),
                    log: crate::error::tail(&log, 20),
                });
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Ends whatever runs; files stay.
    fn stop(&self) -> Result<()> {
        std::thread::scope(|scope| {
            let nodes = NodeNumber::first(NodeNumber::MAX).map(|number| Node::new(number, &self.folder));
            let kills: Vec<_> = nodes.map(|node| scope.spawn(move || node.kill())).collect();
            kills.into_iter().try_for_each(|kill| kill.join().expect("killing a node does not panic"))
        })?;
        Group::root().remove()?;
        node::remove_bridge()
    }

    fn remove(&self) -> Result<()> {
        self.stop()?;
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).doing(|| format!("remove {}", self.folder.display()))
            }
            _ => Ok(()),
        }
    }
}

impl Cluster for ProcessCluster {
    async fn up(&self, plan: &Plan) -> Result<()> {
        must_be_root()?;
        cgroup::supported()?;
        supply::debian::ensure(plan.install)?;
        let supply = Supply::ensure(&CORE).await?;
        let _lock = self.lock()?;
        if self.is_ready().await {
            eprintln!("the cluster runs already");
            return Ok(());
        }
        self.remove()?;
        let made = self.make(plan, &supply).await;
        if made.is_err() {
            eprintln!("stopping what was started; its logs are in {}", self.folder.display());
            self.stop()?;
        }
        made
    }

    async fn down(&self) -> Result<()> {
        must_be_root()?;
        let _lock = self.lock()?;
        self.remove()
    }

    async fn status(&self) -> Result<Status> {
        let runs = self.kubeconfig().is_ok();
        let status = |node: Node| NodeStatus { name: node.name(), state: node.state() };
        Ok(Status {
            ready: self.is_ready().await,
            kubeconfig: self.kubeconfig().ok(),
            audit_log: runs.then(|| self.folder.join(file::AUDIT_LOG)),
            nodes: self.nodes().into_iter().map(status).collect(),
        })
    }

    fn kubeconfig(&self) -> Result<PathBuf> {
        let path = self.pki().join("admin.kubeconfig");
        if path.exists() && !Group::root().processes().is_empty() {
            return Ok(path);
        }
        Err(Error::Refused("no cluster runs; start one with `cargo xtask cluster up`".to_owned()))
    }

    async fn load_image(&self, archive: &Path) -> Result<()> {
        must_be_root()?;
        self.kubeconfig()?;
        let supply = Supply::ensure(&[Tool::Ctr]).await?;
        let _lock = self.lock()?;
        let name = Path::new(archive.file_name().unwrap_or_default()).with_extension("tar");
        let kept = self.images().join(name);
        // A node that starts meanwhile sees the old one or the new one, never half of it.
        let unfinished = kept.with_extension("unfinished");
        let copied = fs::copy(archive, &unfinished).and_then(|_| fs::rename(&unfinished, &kept));
        copied.doing(|| format!("copy {} to {}", archive.display(), kept.display()))?;
        let ctr = supply.path(Tool::Ctr);
        std::thread::scope(|scope| {
            let running = self
                .nodes()
                .into_iter()
                .filter(|node| !matches!(node.state(), NodeState::Off | NodeState::Paused));
            let import = |node: Node| {
                let (ctr, kept) = (&ctr, &kept);
                scope.spawn(move || node.import(ctr, kept))
            };
            let imports: Vec<_> = running.map(import).collect();
            imports.into_iter().try_for_each(|import| import.join().expect("importing does not panic"))
        })
    }

    async fn node(&self, action: NodeAction, name: &str) -> Result<()> {
        must_be_root()?;
        self.kubeconfig()?;
        let supply = Supply::ensure(&CORE).await?;
        let _lock = self.lock()?;
        if name == CONTROL_PLANE {
            return self.control_plane(action, &supply).await;
        }
        let node = self.node_named(name)?;
        match action {
            NodeAction::Kill => node.kill(),
            NodeAction::Start => node.start(&self.numbers(), &supply.search_path(&CORE)),
            NodeAction::Partition => node.partition(),
            NodeAction::Heal => node.heal(),
            NodeAction::Pause => node.pause(),
            NodeAction::Unpause => node.unpause(),
        }
    }

    fn exec(&self, name: &str) -> Result<Command> {
        must_be_root()?;
        let mut inside = self.node_named(name)?.exec()?;
        // What is not of the distribution, such as ctr, is of the cache.
        let supply = supply::cache_dir()?.join("tools/containerd");
        inside.arg("env").arg(format!("PATH={}:/usr/sbin:/usr/bin:/sbin:/bin", supply.display()));
        Ok(inside)
    }
}

fn is_ready(node: &NodeObject) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn must_be_root() -> Result<()> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    Err(Error::Missing(
        "nodes of plain processes need root, for namespaces and mounts; use sudo, or --kind".to_owned(),
    ))
}

/// The usual 128 watchers of files are too few for three kubelets and containerds.
fn raise_inotify_limits() -> Result<()> {
    for (name, least) in [("max_user_instances", 1024_u32), ("max_user_watches", 524_288)] {
        let file = Path::new("/proc/sys/fs/inotify").join(name);
        let now =
            fs::read_to_string(&file).ok().and_then(|text| text.trim().parse::<u32>().ok()).unwrap_or(0);
        if now < least {
            fs::write(&file, least.to_string()).doing(|| format!("raise {}", file.display()))?;
        }
    }
    Ok(())
}

/// What is done and when.
struct Steps(Instant);

impl Steps {
    fn new() -> Self {
        Self(Instant::now())
    }

    fn done(&mut self, what: &str) {
        eprintln!("{:5.1} s  {what}", self.0.elapsed().as_secs_f32());
    }
}
