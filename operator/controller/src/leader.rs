//! Who leads: the loop around the pure [`lease`].
//!
//! The Lease is read every two seconds, by whoever leads and whoever stands by, and written with the version that was
//! read as the condition. What the pure half believes is put into [`Leadership`], which the fence asks; a term that
//! cannot be renewed ends there by itself, nobody has to notice.
//!
//! These reads are also the pulse of the connection to the API server: when an answer comes after one that did not, all
//! watches are opened anew at once, whatever state their connections are in.

use std::sync::Arc;

use greenroom_operator_plan::lease::{DURATION, Decision, Election, RETRY, Record, Token, Write};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::args::Args;
use crate::error::{Error, status_code};
use crate::fence::{Leadership, boot_time};
use crate::metrics::Metrics;

/// What those who write know of the election.
#[derive(Clone)]
pub(crate) struct Leader {
    leases: Api<Lease>,
    name: String,
    leadership: Leadership,
    term: watch::Receiver<Option<Token>>,
}

impl Leader {
    /// Waits until this replica leads.
    pub(crate) async fn leading(&mut self) {
        self.wait(true).await;
    }

    /// Waits until it does not lead any more.
    pub(crate) async fn lost(&mut self) {
        self.wait(false).await;
    }

    async fn wait(&mut self, leading: bool) {
        if self.term.wait_for(|term| term.is_some() == leading).await.is_err() {
            // The election is over: nothing changes any more.
            std::future::pending::<()>().await;
        }
    }

    /// Reads the Lease: fails if it is not ours, in the same term. To be asked before anything that destroys.
    pub(crate) async fn confirm(&self) -> Result<(), Error> {
        let term = self.term.borrow().clone();
        let lease =
            self.leases.get(&self.name).await.map_err(Error::api(format!("get Lease {}", self.name)))?;
        let ours = term.is_some_and(|term| term.holds_in(&record(&lease)));
        if !ours {
            self.leadership.end();
        }
        if self.leadership.holds() { Ok(()) } else { Err(Error::NotLeading) }
    }
}

/// Takes part in the election.
pub(crate) struct Candidate {
    leases: Api<Lease>,
    name: String,
    identity: String,
    election: Election,
    leadership: Leadership,
    term: watch::Sender<Option<Token>>,
    metrics: Arc<Metrics>,
    /// The Lease as it was last read: what others wrote into it is kept.
    lease: Lease,
    /// Counted up when the API server answers again after a silence.
    healed: watch::Sender<u64>,
    silent: bool,
}

impl Candidate {
    pub(crate) fn new(
        client: Client,
        args: &Args,
        leadership: Leadership,
        metrics: Arc<Metrics>,
        healed: watch::Sender<u64>,
    ) -> Self {
        metrics.leader.with_label_values::<&str>(&[]).set(0);
        Self {
            leases: Api::namespaced(client, &args.namespace),
            name: args.lease_name.clone(),
            identity: args.identity.clone(),
            election: Election::new(&args.identity),
            leadership,
            term: watch::Sender::new(None),
            metrics,
            lease: Lease::default(),
            healed,
            silent: false,
        }
    }

    /// The other end, for those who write.
    pub(crate) fn leader(&self) -> Leader {
        Leader {
            leases: self.leases.clone(),
            name: self.name.clone(),
            leadership: self.leadership.clone(),
            term: self.term.subscribe(),
        }
    }

    /// Takes part until `release`, then gives the Lease back if it is ours.
    pub(crate) async fn run(mut self, release: CancellationToken) {
        while !release.is_cancelled() {
            self.round().await;
            // Replicas should not ask at the same moment, and a term that runs out ends then, not a round later.
            let mut pause = RETRY.mul_f64(0.8 + 0.4 * fastrand::f64());
            if self.leadership.holds() {
                pause = pause.min(self.leadership.left());
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = release.cancelled() => {}
            }
        }
        self.release().await;
    }

    async fn round(&mut self) {
        if self.read().await {
            match self.election.evaluate(boot_time()) {
                Decision::Acquire(write) | Decision::Renew(write) => self.take(write).await,
                Decision::Wait(_) | Decision::Lost => {}
            }
        }
        // Also without an answer: a term runs out by itself.
        if self.election.evaluate(boot_time()) == Decision::Lost {
            self.step_down();
        }
    }

    /// Reads the Lease; false if there was no answer.
    async fn read(&mut self) -> bool {
        let found = match self.leases.get_opt(&self.name).await {
            Ok(found) => found,
            Err(error) => {
                self.silent |= status_code(&error).is_none();
                warn!(%error, "the Lease could not be read");
                return false;
            }
        };
        if std::mem::take(&mut self.silent) {
            info!("the API server answers again; all watches are opened anew");
            self.healed.send_modify(|times| *times += 1);
        }
        self.election.observe(found.as_ref().map(record), boot_time());
        self.lease = found.unwrap_or_default();
        true
    }

    /// Takes or renews the Lease.
    async fn take(&mut self, write: Write) {
        let sent = boot_time();
        match self.write(&write).await {
            Ok(written) => {
                let version = written.metadata.resource_version.clone().unwrap_or_default();
                self.election.written(&write, version, sent, boot_time());
                self.lease = written;
                self.step_up();
            }
            // Somebody else wrote first; the next round sees what.
            Err(error) if status_code(&error) == Some(409) => debug!("another replica changed the Lease"),
            Err(error) => warn!(%error, "the Lease could not be written"),
        }
    }

    async fn write(&self, write: &Write) -> kube::Result<Lease> {
        let mut lease = self.lease.clone();
        lease.metadata.name = Some(self.name.clone());
        lease.metadata.resource_version.clone_from(&write.replaces);
        let now = MicroTime(Timestamp::now());
        let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
        if spec.holder_identity != write.holder {
            spec.acquire_time = Some(now.clone());
        }
        spec.renew_time = Some(now);
        spec.holder_identity.clone_from(&write.holder);
        spec.lease_transitions = Some(write.transitions);
        spec.lease_duration_seconds = i32::try_from(DURATION.as_secs()).ok();
        let how = PostParams::default();
        match write.replaces {
            Some(_) => self.leases.replace(&self.name, &how, &lease).await,
            None => self.leases.create(&how, &lease).await,
        }
    }

    fn step_up(&mut self) {
        let (Some(until), Some(token)) = (self.election.leads_until(), self.election.token()) else { return };
        self.leadership.extend(until);
        if self.term.borrow().as_ref() != Some(&token) {
            info!(identity = self.identity, term = token.transitions, "this replica leads");
            self.metrics.leader.with_label_values::<&str>(&[]).set(1);
            self.metrics.lease_transitions.with_label_values::<&str>(&[]).set(token.transitions.into());
            self.term.send_replace(Some(token));
        }
    }

    fn step_down(&mut self) {
        // The Lease is another's, or nobody knows whose it is: there is nothing to give back.
        self.leadership.end();
        self.election.resign();
        self.metrics.leader.with_label_values::<&str>(&[]).set(0);
        warn!(identity = self.identity, "this replica does not lead any more");
        self.term.send_replace(None);
    }

    async fn release(&mut self) {
        // First the fence closes, then somebody else may lead.
        self.leadership.end();
        self.term.send_replace(None);
        let Some(write) = self.election.resign() else { return };
        match self.write(&write).await {
            Ok(_) => info!("the Lease is released"),
            Err(error) => warn!(%error, "the Lease could not be released, and runs out"),
        }
    }
}

fn record(lease: &Lease) -> Record {
    let spec = lease.spec.clone().unwrap_or_default();
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    Record {
        holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
        duration: seconds.map(std::time::Duration::from_secs),
        transitions: spec.lease_transitions.unwrap_or(0),
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
    }
}
