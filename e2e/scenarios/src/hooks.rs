//! What only the owner of the machines can do.
//!
//! A hook is a command of the program that brought the cluster up. Every host that a scenario stops must be started
//! again whatever happens: [`Host`] does that when it is dropped.

use std::path::Path;
use std::process::{Command as BlockingCommand, Stdio};

use anyhow::{Context, Result};
use tokio::process::Command;

use crate::kubectl;
use crate::scope::Scope;

/// A Kubernetes machine.
pub(crate) struct Host<'a> {
    hooks: &'a Path,
    name: String,
    /// The command that undoes what was done.
    undo: Option<&'static str>,
}

impl<'a> Host<'a> {
    /// The host that runs this pod.
    pub(crate) async fn of_pod(scope: &'a Scope, pod: &str) -> Result<Self> {
        let hooks =
            scope.settings.hooks.as_deref().context("the scenario does not say that it needs hooks")?;
        let name = scope.kubectl(&["get", "pod", pod, "-o", "jsonpath={.spec.nodeName}"]).await?;
        Ok(Self { hooks, name, undo: None })
    }

    /// Its name in Kubernetes.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Cuts its power.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        self.hook("kill").await?;
        self.undo = Some("start");
        Ok(())
    }

    /// Takes it from the network; everything on it goes on.
    pub(crate) async fn partition(&mut self) -> Result<()> {
        self.hook("partition").await?;
        self.undo = Some("heal");
        Ok(())
    }

    /// Stops everything on it where it is. Connections to it stay open, and nobody answers.
    pub(crate) async fn pause(&mut self) -> Result<()> {
        self.hook("pause").await?;
        self.undo = Some("unpause");
        Ok(())
    }

    /// Undoes what was done.
    pub(crate) async fn restore(&mut self) -> Result<()> {
        if let Some(undo) = self.undo.take() {
            self.hook(undo).await?;
        }
        Ok(())
    }

    /// Runs a command on the host; what it printed.
    pub(crate) async fn exec(&self, command: &[&str]) -> Result<String> {
        let mut hook = Command::new(self.hooks);
        kubectl::run(hook.args(["exec", &self.name, "--"]).args(command), None).await
    }

    /// Sends a signal to the first process of a pod's container: what no user of Kubernetes can do, and a crash does.
    pub(crate) async fn signal(&self, scope: &Scope, pod: &str, signal: &str) -> Result<()> {
        let path = "jsonpath={.status.containerStatuses[0].containerID}";
        let id = scope.kubectl(&["get", "pod", pod, "-o", path]).await?;
        let id = id.trim_start_matches("containerd://");
        let ctr = ["ctr", "-a", "/run/containerd/containerd.sock", "-n", "k8s.io"];
        self.exec(&[&ctr[..], &["task", "kill", "-s", signal, id]].concat()).await.map(drop)
    }

    async fn hook(&self, action: &str) -> Result<()> {
        kubectl::run(Command::new(self.hooks).args(["node", action, &self.name]), None).await.map(drop)
    }
}

impl Drop for Host<'_> {
    fn drop(&mut self) {
        if let Some(undo) = self.undo {
            let mut hook = BlockingCommand::new(self.hooks);
            let _ = hook.args(["node", undo, &self.name]).stdin(Stdio::null()).status();
        }
    }
}
