//! Where the scenarios run, and with what.

use std::path::PathBuf;

use crate::scenarios::Scenario;

/// Where the scenarios run; each has an environment variable, which `cargo xtask e2e` sets.
#[derive(clap::Args)]
pub(crate) struct Settings {
    /// The image of operator, placement API and stock node, without a tag: that is the chart's version.
    #[arg(long, env = "GREENROOM_E2E_IMAGE")]
    pub(crate) image: String,
    /// The version under test: that of the charts.
    #[arg(long, env = "GREENROOM_E2E_VERSION")]
    pub(crate) version: String,
    /// A version before it, if the cluster has its image, too.
    #[arg(long, env = "GREENROOM_E2E_PREVIOUS")]
    pub(crate) previous: Option<String>,
    /// The image of the word count's nodes.
    #[arg(long, env = "GREENROOM_E2E_WORDCOUNT_IMAGE")]
    pub(crate) wordcount_image: String,
    /// An image with a shell and `nc`.
    #[arg(long, env = "GREENROOM_E2E_TOOLS_IMAGE", default_value = "docker.io/library/busybox:1")]
    pub(crate) tools_image: String,
    /// The word count program.
    #[arg(long, env = "GREENROOM_E2E_WORDCOUNT")]
    pub(crate) wordcount: PathBuf,
    /// The folder with the charts and examples.
    #[arg(long, env = "GREENROOM_E2E_SOURCES")]
    pub(crate) sources: PathBuf,
    /// A program that takes `node kill|start|partition|heal|pause|unpause NAME` and `exec NAME -- COMMAND…`.
    #[arg(long, env = "GREENROOM_E2E_HOOKS")]
    pub(crate) hooks: Option<PathBuf>,
    /// The audit log of the API server, one event a line.
    #[arg(long, env = "GREENROOM_E2E_AUDIT_LOG")]
    pub(crate) audit_log: Option<PathBuf>,
    /// Whether NetworkPolicies are enforced there.
    #[arg(long, env = "GREENROOM_E2E_NETWORK_POLICIES")]
    pub(crate) network_policies: bool,
    /// The chart is installed already.
    #[arg(long, env = "GREENROOM_E2E_INSTALLED")]
    pub(crate) installed: bool,
    /// Only the scenarios that run on every kind of cluster: the tour, the word count, the loss of a host.
    #[arg(long, env = "GREENROOM_E2E_CORE")]
    pub(crate) core: bool,
    /// How many scenarios run at once.
    #[arg(long, default_value_t = 2)]
    pub(crate) parallel: usize,
    /// Keep the namespaces of failed scenarios.
    #[arg(long)]
    pub(crate) keep: bool,
}

impl Settings {
    /// Why the scenario cannot run here, if it cannot.
    pub(crate) fn cannot_run(&self, scenario: &Scenario) -> Option<&'static str> {
        if scenario.needs_hooks && self.hooks.is_none() {
            return Some("nobody here can stop a host");
        }
        if scenario.needs_previous && self.previous.is_none() {
            return Some("there is no image of a previous version");
        }
        if scenario.needs_network_policies && !self.network_policies {
            return Some("NetworkPolicies are not enforced here");
        }
        (scenario.needs_audit_log && self.audit_log.is_none()).then_some("there is no audit log to read")
    }
}
