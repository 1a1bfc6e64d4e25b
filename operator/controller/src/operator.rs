//! Puts the operator together and runs it: watches and pages always, reconciles while it leads.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kube::Config;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::args::Args;
use crate::certificates::Certificates;
use crate::client::Clients;
use crate::error::Error;
use crate::events::Events;
use crate::fence::Leadership;
use crate::http::{self, Pages};
use crate::leader::{Candidate, Leader};
use crate::metrics::Metrics;
use crate::nodes::Nodes;
use crate::reconcile::{self, Context, Failures};
use crate::rolls::Rolls;
use crate::watches::{Caches, Progress};

/// How long running reconciles may take to finish when the process is asked to stop.
const DRAIN_TIME: Duration = Duration::from_secs(3);
/// How often the certificates that belong to no cluster are looked at.
const CERTIFICATES_EVERY: Duration = Duration::from_secs(60);

/// An operator whose watches and pages run already.
pub struct Operator {
    address: SocketAddr,
    contexts: Vec<Arc<Context>>,
    leader: Leader,
    candidate: Candidate,
    certificates: Arc<Certificates>,
    /// Watches and pages; they end with it.
    tasks: JoinSet<()>,
}

impl Operator {
    /// Listens and starts to watch; does not take part in the election yet.
    pub async fn start(args: Args, config: Config) -> Result<Self, Error> {
        let listener = TcpListener::bind(args.http_listen).await.map_err(|error| {
            Error::Start(format!(
                "{} cannot be listened on: {error}; choose another --http-listen",
                args.http_listen
            ))
        })?;
        let address = listener.local_addr().map_err(|error| Error::Start(error.to_string()))?;
        let (metrics, progress, leadership) =
            (Arc::new(Metrics::new()), Progress::default(), Leadership::default());
        let clients = Clients::new(&config, &args.identity, &leadership, &metrics, &progress)?;
        let (healed, reopen) = watch::channel(0);
        let candidate = Candidate::new(clients.lease.clone(), &args, leadership, metrics.clone(), healed);
        let leader = candidate.leader();
        let certificates = Arc::new(Certificates::new(clients.writer.clone(), &args, metrics.clone()));
        let (nodes, events) =
            (Arc::new(Nodes::default()), Arc::new(Events::new(clients.writer.clone(), &args.identity)));
        let mut tasks = JoinSet::new();
        let mut contexts = Vec::new();
        for scope in args.scopes() {
            let caches =
                Caches::start(&clients.watches, scope.as_deref(), &progress, &metrics, &reopen, &mut tasks);
            contexts.push(Arc::new(Context {
                caches,
                clients: clients.clone(),
                nodes: nodes.clone(),
                certificates: certificates.clone(),
                leader: leader.clone(),
                events: events.clone(),
                metrics: metrics.clone(),
                settings: args.settings(),
                rolls: Rolls::default(),
                failures: Failures::default(),
            }));
        }
        let scopes = contexts.iter().map(|context| context.caches.clone()).collect();
        let pages = Arc::new(Pages { scopes, progress, metrics });
        tasks.spawn(http::serve(listener, pages, CancellationToken::new()));
        info!(%address, "watching");
        Ok(Self { address, contexts, leader, candidate, certificates, tasks })
    }

    /// Where the pages are served.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes part in the election and reconciles while it leads. After `stop` it finishes what it is doing and releases
    /// the Lease. Dropping the future stops at once, and leaves the Lease to run out.
    pub async fn run(self, stop: CancellationToken) -> Result<(), Error> {
        let Self { contexts, mut leader, candidate, certificates, tasks: _tasks, .. } = self;
        let release = CancellationToken::new();
        let lead = async {
            loop {
                tokio::select! {
                    () = leader.leading() => {}
                    () = stop.cancelled() => break,
                }
                tokio::select! {
                    () = term(&contexts, &certificates, &stop) => break,
                    () = leader.lost() => warn!("leadership is lost; nothing is written any more"),
                }
            }
            release.cancel();
        };
        tokio::join!(lead, candidate.run(release.clone()));
        info!("stopped");
        Ok(())
    }
}

/// One term as the leader; ends once it was asked to stop and the running reconciles are finished.
async fn term(contexts: &[Arc<Context>], certificates: &Arc<Certificates>, stop: &CancellationToken) {
    while !stop.is_cancelled() && contexts.iter().any(|context| !context.caches.missing().is_empty()) {
        // The caches of a replica that leads are nearly always whole: it stood by before.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    certificates.forget().await;
    let mut running = JoinSet::new();
    for context in contexts {
        running.spawn(reconcile::run(context.clone(), stop.clone()));
    }
    running.spawn(shared_certificates(certificates.clone(), stop.clone()));
    let finish = async { while running.join_next().await.is_some() {} };
    let late = async {
        stop.cancelled().await;
        tokio::time::sleep(DRAIN_TIME).await;
    };
    tokio::select! {
        () = finish => {}
        () = late => warn!("stopped before every reconcile was finished; the next leader goes on with them"),
    }
}

/// Keeps what belongs to no cluster: the placement API's certificate, and the authority itself.
async fn shared_certificates(certificates: Arc<Certificates>, stop: CancellationToken) {
    loop {
        let delay = match certificates.ensure_placement_api().await {
            Ok(()) => CERTIFICATES_EVERY,
            Err(Error::NotLeading) => return,
            Err(error) => {
                warn!(%error, "the placement API's certificate is not up to date");
                CERTIFICATES_EVERY / 10
            }
        };
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = stop.cancelled() => return,
        }
    }
}
