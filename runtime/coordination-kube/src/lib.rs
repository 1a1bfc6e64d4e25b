//! The Kubernetes back end of `Coordination`: the register is the API server, presence comes from the pods.
//!
//! - `pages`: reading and writing a page, which is one `ShardMap` object; `page` has its form.
//! - `watch`: one watch per page, and what happens when it breaks.
//! - `presence`: who runs, from the cluster's pods; `pod` tells when a pod counts.
//! - `client`: the connection, and how it notices that nobody is at the other end.
//!
//! What the node's Role must allow, in its own namespace and no more: `get`, `update` and `watch` of its pages by name,
//! and `get`, `list` and `watch` of pods. Nothing is ever created or deleted here.
//!
//! Nothing is written but what [`Coordination::write`] is given: while nothing changes, the API server only hears
//! watches being renewed.

mod client;
mod complaint;
mod error;
mod page;
mod pages;
mod pause;
mod pod;
mod presence;
mod watch;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};
use greenroom_cluster::coordination::{Coordination, Peer, ReadError, Version, Versioned, WriteError};
use greenroom_core::ShardCount;
use greenroom_core::env::SharedEnv;
use greenroom_core::map::Page;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, Config};

pub use client::connect;
pub use error::KubeCoordinationError;
use pages::Pages;

/// The register of a cluster in Kubernetes. A cheap clone of one connection.
#[derive(Clone)]
pub struct KubeCoordination {
    env: SharedEnv,
    pages: Arc<Pages>,
    pods: Api<Pod>,
    cluster: String,
}

impl KubeCoordination {
    /// From inside a pod: the API server and the service account that Kubernetes tells it of. Does not wait for the API
    /// server. Needs a tokio runtime.
    pub async fn in_cluster(
        namespace: &str,
        cluster: &str,
        shards: ShardCount,
        env: SharedEnv,
    ) -> Result<Self, KubeCoordinationError> {
        let config = Config::incluster().map_err(KubeCoordinationError::not_in_a_pod)?;
        Ok(Self::with_client(connect(config)?, namespace, cluster, shards, env))
    }

    /// Through this client. It should come from [`connect`]: kube's own repeats a refused request for minutes, and does
    /// not notice a connection that carries nothing any more.
    pub fn with_client(
        client: Client,
        namespace: &str,
        cluster: &str,
        shards: ShardCount,
        env: SharedEnv,
    ) -> Self {
        let pages = Arc::new(Pages::new(client.clone(), namespace, cluster, shards));
        Self { env, pages, pods: Api::namespaced(client, namespace), cluster: cluster.to_owned() }
    }
}

impl Coordination for KubeCoordination {
    fn read(&self, page: u16) -> BoxFuture<'static, Result<Versioned<Page>, ReadError>> {
        let pages = self.pages.clone();
        async move { pages.read(page).await }.boxed()
    }

    fn write(
        &self,
        page: u16,
        base: Version,
        content: Page,
    ) -> BoxFuture<'static, Result<Versioned<Page>, WriteError>> {
        let pages = self.pages.clone();
        async move { pages.write(page, base, content).await }.boxed()
    }

    fn watch(&self, page: u16) -> BoxStream<'static, Versioned<Page>> {
        watch::watch(self.pages.clone(), page, self.env.clone()).boxed()
    }

    fn join(&self, me: Peer) -> BoxStream<'static, Vec<Peer>> {
        presence::watch(self.pods.clone(), &self.cluster, me, self.env.clone()).boxed()
    }
}
