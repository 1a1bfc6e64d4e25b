//! The namespace that a scenario works in.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;
use tokio::process::Command;

use crate::kubectl::{self, Output, eventually, kubectl};
use crate::settings::Settings;

/// A namespace, with restricted pod security enforced, that lives as long as the scenario.
#[derive(Clone)]
pub(crate) struct Scope {
    pub(crate) settings: Arc<Settings>,
    pub(crate) namespace: String,
}

impl Scope {
    /// Makes the namespace, anew if one was left over.
    pub(crate) async fn open(settings: Arc<Settings>, scenario: &str) -> Result<Self> {
        let namespace = format!("e2e-{}", scenario.replace([':', '_'], "-"));
        let gone = ["delete", "namespace", &namespace, "--ignore-not-found", "--timeout=120s"];
        kubectl::run(&mut kubectl(&gone), None).await?;
        kubectl::run(&mut kubectl(&["create", "namespace", &namespace]), None).await?;
        let restricted = "pod-security.kubernetes.io/enforce=restricted";
        kubectl::run(&mut kubectl(&["label", "namespace", &namespace, restricted]), None).await?;
        let scope = Self { settings, namespace };
        // Without it pods are refused.
        eventually(Duration::from_secs(30), "the default service account", || {
            scope.kubectl(&["get", "serviceaccount", "default"])
        })
        .await?;
        Ok(scope)
    }

    /// What is done in a second namespace, which is closed after it.
    pub(crate) async fn beside<T>(
        &self,
        name: &str,
        work: impl AsyncFnOnce(&Scope) -> Result<T>,
    ) -> Result<T> {
        let other = Self::open(self.settings.clone(), name).await?;
        let outcome = work(&other).await;
        other.close(outcome.is_err()).await;
        outcome
    }

    /// Removes the namespace; a failed one is shown first, and kept if that was asked for.
    pub(crate) async fn close(&self, failed: bool) {
        if failed {
            println!("{}", self.describe().await);
        }
        if failed && self.settings.keep {
            println!("the namespace {} is kept", self.namespace);
            return;
        }
        let _ =
            kubectl::run(&mut kubectl(&["delete", "namespace", &self.namespace, "--wait=false"]), None).await;
    }

    /// `kubectl` in this namespace; what it printed.
    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        kubectl::run(&mut self.command(arguments), None).await
    }

    /// `kubectl` in this namespace, whether it succeeds or not.
    pub(crate) async fn try_kubectl(&self, arguments: &[&str]) -> Result<Output> {
        kubectl::output(&mut self.command(arguments), None).await
    }

    /// `kubectl … -o json` in this namespace.
    pub(crate) async fn json(&self, arguments: &[&str]) -> Result<Value> {
        kubectl::json(&[&["-n", &self.namespace], arguments].concat()).await
    }

    /// `kubectl apply` of this YAML.
    pub(crate) async fn apply(&self, yaml: &str) -> Result<()> {
        kubectl::run(&mut self.command(&["apply", "-f", "-"]), Some(yaml)).await.map(drop)
    }

    /// `kubectl greenroom` in this namespace; what it printed.
    pub(crate) async fn greenroom(&self, arguments: &[&str]) -> Result<String> {
        self.kubectl(&[&["greenroom"], arguments].concat()).await
    }

    /// `kubectl` in this namespace, not yet started.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        match arguments {
            // A plugin gets its flags behind its name.
            ["greenroom", command @ ..] => {
                let mut plugin = kubectl(&["greenroom"]);
                plugin.args(command).args(["--namespace", &self.namespace]);
                plugin
            }
            _ => kubectl(&[&["-n", &self.namespace], arguments].concat()),
        }
    }

    /// Everything that helps to understand a failure.
    async fn describe(&self) -> String {
        let mut text = String::new();
        let n = self.namespace.as_str();
        let operator = crate::install::NAMESPACE;
        let looks: [&[&str]; 7] = [
            &["-n", n, "get", "actorclusters,statefulsets,pods,pvc,services,shardmaps", "-o", "wide"],
            &["-n", n, "get", "actorclusters", "-o", "jsonpath={range .items[*]}{.status}{\"\\n\"}{end}"],
            &["-n", n, "get", "events", "--sort-by=.lastTimestamp"],
            &["-n", n, "logs", "--prefix", "--tail=40", "-l", "app.kubernetes.io/component=node"],
            &["get", "nodes"],
            &["-n", operator, "get", "pods", "-o", "wide"],
            &["-n", operator, "logs", "--prefix", "--tail=60", "-l", "app.kubernetes.io/part-of=greenroom"],
        ];
        for look in looks {
            let _ = writeln!(text, "\n$ kubectl {}", look.join(" "));
            match kubectl::output(&mut kubectl(look), None).await {
                Ok(said) => text.push_str(&(said.stdout + &said.stderr)),
                Err(error) => text.push_str(&format!("{error:#}\n")),
            }
        }
        text
    }

    /// Waits until `kubectl wait` is content.
    pub(crate) async fn wait(&self, object: &str, condition: &str, within: Duration) -> Result<()> {
        let timeout = format!("--timeout={}s", within.as_secs());
        let said = self.try_kubectl(&["wait", object, &format!("--for={condition}"), &timeout]).await?;
        ensure!(
            said.success,
            "{object} is not {condition} within {within:?}: {}{}",
            said.stdout,
            said.stderr
        );
        Ok(())
    }
}
