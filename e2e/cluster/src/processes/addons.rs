//! Objects that every cluster has: the Service of its DNS server, and the default class of volumes.

use std::fmt::Debug;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::PostParams;
use kube::{Api, Client};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::agents::{PROVISIONER, STORAGE_CLASS};
use crate::error::Result;
use crate::network;

/// Creates them in a new cluster.
pub(super) async fn create(client: &Client) -> Result<()> {
    let client = || client.clone();
    create_one::<StorageClass>(Api::all(client()), storage_class()).await?;
    create_one::<Service>(Api::namespaced(client(), "kube-system"), dns_service()).await?;
    create_one::<EndpointSlice>(Api::namespaced(client(), "kube-system"), dns_endpoints()).await
}

async fn create_one<K>(api: Api<K>, object: Value) -> Result<()>
where
    K: Clone + Debug + DeserializeOwned + Serialize,
{
    let object = serde_json::from_value(object).expect("the object is written below");
    api.create(&PostParams::default(), &object).await?;
    Ok(())
}

fn storage_class() -> Value {
    json!({
        "metadata": {
            "name": STORAGE_CLASS,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": PROVISIONER,
        "volumeBindingMode": "WaitForFirstConsumer",
        "reclaimPolicy": "Delete",
    })
}

/// A Service without a selector: its server is no pod, but a process beside the nodes.
fn dns_service() -> Value {
    json!({
        "metadata": {"name": "kube-dns", "namespace": "kube-system"},
        "spec": {"clusterIP": network::DNS_SERVICE, "ports": dns_ports()},
    })
}

fn dns_endpoints() -> Value {
    json!({
        "metadata": {
            "name": "kube-dns-host",
            "namespace": "kube-system",
            "labels": {"kubernetes.io/service-name": "kube-dns"},
        },
        "addressType": "IPv4",
        "ports": dns_ports(),
        "endpoints": [{"addresses": [network::HOST], "conditions": {"ready": true}}],
    })
}

fn dns_ports() -> Value {
    json!([
        {"name": "dns", "port": 53, "protocol": "UDP"},
        {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
    ])
}
