//! The way of questions: to the admin port of one pod, with mutual TLS.
//!
//! The operator keeps a certificate for people in a Secret of the cluster: whoever may read that may ask the nodes
//! everything. The node at the other end must show that it is one of this cluster.

use std::io;

use greenroom_crds::names;
use greenroom_tls::{Connector, Pem, Tls};
use k8s_openapi::api::core::v1::Secret;
use kube::api::Api;
use tonic::transport::Channel;

use super::api::{ApiError, Deed, answer};
use super::channel::connected;
use super::connection::Connection;
use super::pods::Pods;
use crate::failure::{Failure, OrFail, Result};

/// The pods as administrators see them.
pub(crate) struct AdminPods {
    pods: Pods,
    tls: Connector,
}

impl AdminPods {
    /// Reads the certificate.
    pub(super) async fn read(connection: &Connection, cluster: &str, pods: Pods) -> Result<Self> {
        let secrets: Api<Secret> = Api::namespaced(connection.client.clone(), &connection.namespace);
        let name = names::admin_secret(cluster);
        let secret = answer(secrets.get(&name)).await.map_err(|e| refused(connection, &name, &e))?;
        let tls = Tls::new(pem(&name, secret)?).or_fail(format_args!("cannot use Secret {name}"))?;
        let node = names::identity::node(cluster, &connection.namespace);
        let tls = Connector::new(tls, &node).or_fail("cannot expect this node's identity")?;
        Ok(Self { pods, tls })
    }

    /// Connects to the admin service of a pod.
    pub(super) async fn connect(&self, pod: &str) -> Result<Channel, String> {
        let (pods, tls, pod) = (self.pods.clone(), self.tls.clone(), pod.to_owned());
        connected(move || {
            let (pods, tls, pod) = (pods.clone(), tls.clone(), pod.clone());
            async move {
                let forward = pods.forward(&pod, names::ADMIN_PORT.1).await.map_err(|error| {
                    let failure = pods.forwarding().failure(&error);
                    io::Error::other(if matches!(error, ApiError::Forbidden(_)) {
                        failure.text()
                    } else {
                        error.to_string()
                    })
                })?;
                tls.connect(forward).await.map_err(io::Error::other)
            }
        })
        .await
    }
}

/// Why the certificate cannot be had, and what works without it.
fn refused(connection: &Connection, name: &str, error: &ApiError) -> Failure {
    let namespace = &connection.namespace;
    let deed = Deed {
        what: format!(
            "read Secret {name} in namespace {namespace}, which holds the certificate that nodes want to see"
        ),
        right: format!("get Secret {name} in namespace {namespace}"),
    };
    let failure = match error {
        ApiError::NoObject(_) => Failure::new(format!("there is no Secret {name} in namespace {namespace}"))
            .hint("the operator makes it: does it run? `kubectl get pods -A -l app.kubernetes.io/part-of=greenroom`"),
        _ => deed.failure(error),
    };
    failure.hint(format!("`kubectl get actorplacements -n {namespace}` and `greenroom call` work without it"))
}

/// The files of the Secret.
fn pem(name: &str, secret: Secret) -> Result<Pem> {
    let mut data = secret.data.unwrap_or_default();
    let mut take = |file: &str| {
        let bytes = data.remove(file).map(|bytes| bytes.0);
        bytes.ok_or_else(|| {
            Failure::new(format!("Secret {name} has no {file}"))
                .hint("delete the Secret: the operator makes it again")
        })
    };
    let [certificate, key, authorities] = names::TLS_FILES.map(&mut take);
    Ok(Pem { certificate: certificate?, key: key?, authorities: authorities? })
}
