//! The scenarios, one subject per file.

mod chart;
mod groups;
mod namespace;
mod network;
mod operator;
mod outages;
mod placements;
mod rights;
mod roll;
mod silent_hosts;
mod tour;
mod upgrade;
mod wordcount;

use std::time::Duration;

use anyhow::Result;
use futures_util::future::LocalBoxFuture;

use crate::scope::Scope;

/// Something that must hold.
pub(crate) struct Scenario {
    /// `subject::what`.
    pub(crate) name: &'static str,
    /// The promise, in a line.
    pub(crate) proves: &'static str,
    /// What it does.
    pub(crate) run: fn(Scope) -> LocalBoxFuture<'static, Result<()>>,
    /// When it is given up.
    pub(crate) within: Duration,
    /// Runs on every kind of cluster, not on the most complete one only.
    pub(crate) core: bool,
    /// It disturbs others: stops a host, or the operator.
    pub(crate) alone: bool,
    /// It stops hosts or reaches into them.
    pub(crate) needs_hooks: bool,
    /// It needs the image of a version before this one.
    pub(crate) needs_previous: bool,
    /// It needs NetworkPolicies to be enforced.
    pub(crate) needs_network_policies: bool,
    /// It reads the API server's audit log.
    pub(crate) needs_audit_log: bool,
}

/// A scenario that needs nothing special.
const PLAIN: Scenario = Scenario {
    name: "",
    proves: "",
    run: |_| Box::pin(async { Ok(()) }),
    within: Duration::from_secs(300),
    core: false,
    alone: false,
    needs_hooks: false,
    needs_previous: false,
    needs_network_policies: false,
    needs_audit_log: false,
};

macro_rules! scenario {
    ($module:ident :: $name:ident, $proves:literal $(, $field:ident)*) => {
        Scenario {
            name: concat!(stringify!($module), "::", stringify!($name)),
            proves: $proves,
            run: |scope| Box::pin($module::$name(scope)),
            $($field: true,)*
            ..PLAIN
        }
    };
}

/// All of them. Those that stop something run after the others, in this order; the audit is the last.
pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario!(tour::quickstart, "the tour of the README, as a new user does it", core),
    scenario!(
        tour::deleted_and_applied_again,
        "deleting a cluster keeps its volumes; applied again, the state is there",
        core
    ),
    scenario!(roll::changed_template, "a changed template rolls one pod at a time, and no call fails"),
    scenario!(
        roll::broken_image,
        "a pod that never becomes ready stops the roll, and a corrected image goes on"
    ),
    scenario!(operator::puts_back, "a foreign change of an owned field is put back, a foreign field stays"),
    scenario!(operator::idle_writes_nothing, "an idle minute writes nothing"),
    scenario!(
        operator::refuses_scaling,
        "a changed number of replicas is refused with a condition, and loses nothing"
    ),
    scenario!(
        groups::pinned,
        "actors of a pinned type are on the pods of their group, and no others are there"
    ),
    scenario!(placements::with_kubectl, "every use of kubectl on placements"),
    scenario!(placements::forbidden, "a user without the right gets 403"),
    scenario!(namespace::deleted, "the namespace of a cluster can be deleted, and nothing of it remains"),
    scenario!(network::policies, "what is allowed works, what is not is refused", needs_network_policies),
    scenario!(chart::switches, "every documented switch of the chart installs under restricted pod security"),
    scenario!(
        wordcount::pod_killed,
        "word count stays exact when a node is killed by SIGKILL",
        core,
        needs_hooks
    ),
    scenario!(wordcount::pod_deleted, "word count stays exact when a pod is deleted", core),
    scenario!(
        wordcount::host_lost,
        "word count stays exact when a host loses its power and comes back",
        core,
        alone,
        needs_hooks
    ),
    scenario!(
        outages::host_partitioned,
        "a host that is cut off and comes back loses nothing",
        alone,
        needs_hooks
    ),
    scenario!(outages::operator_away, "without an operator actors go on, and pods come back", alone),
    scenario!(
        outages::operator_frozen,
        "a frozen leader is replaced, and writes nothing when it wakes",
        alone,
        needs_hooks,
        needs_audit_log
    ),
    scenario!(
        outages::placement_api_away,
        "without the placement API other namespaces can be deleted",
        alone
    ),
    scenario!(
        silent_hosts::paused,
        "placements are shown while a host stands still, without those on it, and in time",
        alone,
        needs_hooks
    ),
    scenario!(
        silent_hosts::killed,
        "placements are shown while a host has no power, without those on it, and in time",
        alone,
        needs_hooks
    ),
    scenario!(
        upgrade::from_the_previous_version,
        "an upgrade and a rollback fail no call and restart no actor pod, unless asked",
        alone,
        needs_previous
    ),
    scenario!(rights::none_unused, "no right is granted that nobody used", alone, needs_audit_log),
];
