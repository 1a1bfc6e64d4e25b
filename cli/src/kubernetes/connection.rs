//! The connection to the API server: by the kubeconfig as kubectl reads it, or inside a pod by its service account.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::config::{Config, KubeConfigOptions, Kubeconfig, KubeconfigError};

use crate::failure::{Failure, OrFail, Result};

/// How long the API server may take to accept the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The variable that every pod has, and that says where the API server is.
const IN_A_POD: &str = "KUBERNETES_SERVICE_HOST";

/// Chooses a cluster in Kubernetes.
#[derive(Debug, Default, Clone, clap::Args)]
#[command(next_help_heading = "Target in Kubernetes")]
pub(crate) struct KubernetesArgs {
    /// The ActorCluster [default: the only one in the namespace]
    #[arg(short, long, value_name = "NAME")]
    pub(super) cluster: Option<String>,
    /// The namespace [default: that of the context]
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// The context of the kubeconfig [default: the current one]
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// The kubeconfig [default: KUBECONFIG, or ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

/// A connection to an API server, and the namespace that is meant.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) client: kube::Client,
    pub(crate) namespace: String,
    /// `None` inside a pod.
    context: Option<String>,
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "namespace {}", self.namespace)?;
        self.context.iter().try_for_each(|context| write!(f, " of context {context}"))
    }
}

/// True if there is a kubeconfig where kubectl would find it.
pub(crate) fn has_kubeconfig() -> bool {
    !kubeconfigs().is_empty()
}

impl KubernetesArgs {
    /// True if the user asks for a cluster in Kubernetes.
    pub(crate) fn is_given(&self) -> bool {
        self.cluster.is_some()
            || self.namespace.is_some()
            || self.context.is_some()
            || self.kubeconfig.is_some()
    }

    /// The connection that the arguments choose. Nothing is asked yet.
    pub(super) async fn connect(&self) -> Result<Connection> {
        let files = self.kubeconfig.as_ref().map_or_else(kubeconfigs, |file| vec![file.clone()]);
        let (mut config, context) = if files.is_empty() && std::env::var_os(IN_A_POD).is_some() {
            (Config::incluster().or_fail("cannot use the pod's service account")?, None)
        } else {
            let (config, context) = self.read(&files).await?;
            (config, Some(context))
        };
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        let namespace = self.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = kube::Client::try_from(config).or_fail("cannot use the kubeconfig")?;
        Ok(Connection { client, namespace, context })
    }

    async fn read(&self, files: &[PathBuf]) -> Result<(Config, String)> {
        if files.is_empty() {
            return Err(Failure::new("there is no kubeconfig")
                .hint("give one with --kubeconfig FILE, or set KUBECONFIG")
                .hint("a cluster on this machine needs none: greenroom dev CLUSTER.yaml"));
        }
        let merge = |merged: Kubeconfig, file| merged.merge(Kubeconfig::read_from(file)?);
        let kubeconfig =
            files.iter().try_fold(Kubeconfig::default(), merge).map_err(|e| unusable(&e, &[]))?;
        let contexts: Vec<_> = kubeconfig.contexts.iter().map(|context| context.name.clone()).collect();
        let context = self.context.clone().or_else(|| kubeconfig.current_context.clone());
        let options = KubeConfigOptions { context: context.clone(), ..Default::default() };
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
        Ok((config.map_err(|error| unusable(&error, &contexts))?, context.unwrap_or_default()))
    }
}

fn unusable(error: &KubeconfigError, contexts: &[String]) -> Failure {
    let choose = match contexts {
        [] => "the kubeconfig has no context; is it the right file?".to_owned(),
        names => format!("choose one with --context: {}", names.join(", ")),
    };
    match error {
        KubeconfigError::CurrentContextNotSet => {
            Failure::new("the kubeconfig has no current context").hint(choose)
        }
        KubeconfigError::LoadContext(name) => {
            Failure::new(format!("the kubeconfig has no context {name}")).hint(choose)
        }
        KubeconfigError::ReadConfig(source, file) => {
            Failure::new(format!("cannot read {}: {source}", file.display()))
                .hint("give the path of a kubeconfig with --kubeconfig")
        }
        other => Failure::new(format!("cannot use the kubeconfig: {other}")),
    }
}

/// The kubeconfigs that are there.
fn kubeconfigs() -> Vec<PathBuf> {
    let variable = std::env::var_os("KUBECONFIG");
    let files = candidates(variable.as_deref(), std::env::home_dir().as_deref());
    files.into_iter().filter(|file| file.exists()).collect()
}

/// Where kubectl looks for kubeconfigs; those that are not there it passes over.
fn candidates(variable: Option<&OsStr>, home: Option<&Path>) -> Vec<PathBuf> {
    let listed = variable.map(std::env::split_paths).into_iter().flatten();
    let listed: Vec<_> = listed.filter(|path| !path.as_os_str().is_empty()).collect();
    if listed.is_empty() { home.map(|home| home.join(".kube/config")).into_iter().collect() } else { listed }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "\
apiVersion: v1
kind: Config
current-context: one
clusters: [{name: k, cluster: {server: 'http://127.0.0.1:1'}}]
contexts: [{name: one, context: {cluster: k, namespace: games}}, {name: two, context: {cluster: k}}]
";

    async fn connect(args: KubernetesArgs) -> Result<String> {
        args.connect().await.map(|connection| connection.to_string())
    }

    #[test]
    fn the_variable_lists_files_and_if_it_is_empty_the_home_has_one() {
        let home = Path::new("/home/ann");
        let named = candidates(Some("/a:/b".as_ref()), Some(home));
        assert_eq!(named, [Path::new("/a"), Path::new("/b")]);
        for variable in [None, Some(OsStr::new("")), Some(OsStr::new(":"))] {
            assert_eq!(candidates(variable, Some(home)), [Path::new("/home/ann/.kube/config")]);
        }
    }

    #[tokio::test]
    async fn context_and_namespace_are_those_that_are_asked_for_or_those_of_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), CONFIG).unwrap();
        let args = KubernetesArgs { kubeconfig: Some(file.path().into()), ..Default::default() };
        assert_eq!(connect(args.clone()).await.unwrap(), "namespace games of context one");
        let two = KubernetesArgs { context: Some("two".into()), ..args.clone() };
        assert_eq!(connect(two.clone()).await.unwrap(), "namespace default of context two");
        let named = KubernetesArgs { namespace: Some("n".into()), ..two };
        assert_eq!(connect(named).await.unwrap(), "namespace n of context two");
        let three = KubernetesArgs { context: Some("three".into()), ..args };
        insta::assert_snapshot!(connect(three).await.unwrap_err(), @r"
        error: the kubeconfig has no context three
        hint: choose one with --context: one, two
        ");
    }
}
