//! The program `greenroom-e2e-cluster`: a Kubernetes on this machine, from the command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use greenroom_e2e_cluster::supply::{CORE, Supply, Tool};
use greenroom_e2e_cluster::{
    Cluster, Error, KindCluster, NodeAction, Plan, ProcessCluster, Result, agents, oci_runtime,
};

/// A real Kubernetes on this machine.
#[derive(Parser)]
#[command(name = "cargo xtask cluster", bin_name = "cargo xtask cluster")]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    flavour: Flavour,
}

#[derive(clap::Args)]
#[group(multiple = false)]
struct Flavour {
    /// Out of plain processes, in namespaces of their own (the default where no container engine answers).
    #[arg(long, global = true)]
    processes: bool,
    /// With kind, in containers (the default where a container engine answers).
    #[arg(long, global = true)]
    kind: bool,
}

/// A cluster of one of the two kinds.
enum Either {
    Kind(KindCluster),
    Processes(ProcessCluster),
}

impl Flavour {
    fn cluster(&self) -> Result<Either> {
        if !self.processes {
            let kind = KindCluster::new()?;
            if self.kind || kind.finds_an_engine() {
                return Ok(Either::Kind(kind));
            }
        }
        Ok(Either::Processes(ProcessCluster::new()?))
    }
}

#[derive(Subcommand)]
enum Command {
    /// Start a cluster, or find that it runs.
    Up {
        /// How many nodes.
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=9))]
        nodes: u8,
        /// Install the packages that are missing (needs root and apt).
        #[arg(long)]
        install: bool,
    },
    /// End the cluster and remove all that it left on this machine.
    Down,
    /// Say what runs, as JSON.
    Status,
    /// Print where the administrator's kubeconfig is.
    Kubeconfig,
    /// Give an image to all nodes.
    LoadImage {
        /// An OCI archive or a docker-archive.
        archive: PathBuf,
    },
    /// Break a node, or mend it.
    Node {
        /// What to do.
        action: Action,
        /// The node, such as node1, or control-plane.
        name: String,
    },
    /// Run a program inside of a node.
    Exec {
        /// The node.
        name: String,
        /// The program and its arguments.
        #[arg(required = true, last = true)]
        command: Vec<String>,
    },
    /// Build tools and print where each is: `core`, or the names of programs.
    Tools {
        /// Such as helm, kind, kubectl; `core` is what a cluster runs.
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// What runs beside the nodes. `up` starts it.
    #[command(hide = true)]
    Agents(agents::Args),
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Action {
    /// Power off, without notice; the disk stays.
    Kill,
    /// Power on.
    Start,
    /// Cut the network.
    Partition,
    /// Mend the network.
    Heal,
    /// Stop all processes where they are.
    Pause,
    /// Let them go on.
    Unpause,
}

fn main() -> ExitCode {
    if oci_runtime::is_meant() {
        return oci_runtime::main();
    }
    match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime.block_on(run(Cli::parse())),
        Err(error) => {
            eprintln!("error: cannot start the async runtime: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> ExitCode {
    let outcome = match cli.command {
        Command::Tools { names } => tools(&names).await,
        Command::Agents(args) => agents::run(&args).await,
        command => match cli.flavour.cluster() {
            Ok(Either::Kind(cluster)) => steer(&cluster, command).await,
            Ok(Either::Processes(cluster)) => steer(&cluster, command).await,
            Err(error) => Err(error),
        },
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Does to `cluster` what the command says.
async fn steer(cluster: &impl Cluster, command: Command) -> Result<()> {
    match command {
        Command::Up { nodes, install } => {
            let program = std::env::current_exe()
                .map_err(|source| Error::Io { what: "find this program".into(), source })?;
            cluster.up(&Plan { nodes, install, program }).await?;
            let kubeconfig = cluster.kubeconfig()?;
            println!("export KUBECONFIG={}", kubeconfig.display());
        }
        Command::Down => cluster.down().await?,
        Command::Status => {
            let status = cluster.status().await?;
            println!("{:#}", serde_json::to_value(status).expect("a status is plain data"));
        }
        Command::Kubeconfig => println!("{}", cluster.kubeconfig()?.display()),
        Command::LoadImage { archive } => cluster.load_image(&archive).await?,
        Command::Node { action, name } => cluster.node(action.into(), &name).await?,
        Command::Exec { name, command } => {
            let mut inside = cluster.exec(&name)?;
            let status = inside.args(&command).status();
            let status =
                status.map_err(|source| Error::Io { what: format!("run {}", command[0]), source })?;
            if !status.success() {
                return Err(Error::Refused(format!("{} on {name}: {status}", command.join(" "))));
            }
        }
        Command::Tools { .. } | Command::Agents(_) => unreachable!("they need no cluster"),
    }
    Ok(())
}

async fn tools(names: &[String]) -> Result<()> {
    let mut wanted = Vec::new();
    for name in names {
        match Tool::all().find(|tool| tool.name() == name) {
            Some(tool) => wanted.push(tool),
            None if name == "core" => wanted.extend(CORE),
            None => {
                let known = Tool::all().map(Tool::name).collect::<Vec<_>>().join(", ");
                return Err(Error::Refused(format!("there is no tool {name}; there are core, {known}")));
            }
        }
    }
    let supply = Supply::ensure(&wanted).await?;
    wanted.iter().for_each(|&tool| println!("{}", supply.path(tool).display()));
    Ok(())
}

impl From<Action> for NodeAction {
    fn from(action: Action) -> Self {
        match action {
            Action::Kill => Self::Kill,
            Action::Start => Self::Start,
            Action::Partition => Self::Partition,
            Action::Heal => Self::Heal,
            Action::Pause => Self::Pause,
            Action::Unpause => Self::Unpause,
        }
    }
}
