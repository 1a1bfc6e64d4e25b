//! A real API server with the definitions of Greenroom, and one cluster's objects in it: pages, pods, and a user with
//! no more rights than a node has.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod proxy;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use greenroom_cluster::Coordination;
use greenroom_cluster::coordination::Peer;
use greenroom_coordination_kube::{KubeCoordination, connect};
use greenroom_core::ShardCount;
use greenroom_core::env::SystemEnv;
use greenroom_crds::{ShardMap, crd_yaml, names};
use greenroom_e2e_cluster::ControlPlane;
use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Client, Config};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

pub(crate) const NAMESPACE: &str = "shop";

/// The control plane that the tests of one program share. It ends with the program.
pub(crate) async fn shared() -> &'static ControlPlane {
    static SHARED: OnceCell<ControlPlane> = OnceCell::const_new();
    SHARED.get_or_init(start).await
}

/// A control plane that knows Greenroom's kinds.
pub(crate) async fn start() -> ControlPlane {
    let plane = ControlPlane::start().await.unwrap();
    let admin = connect(config(plane.kubeconfig()).await).unwrap();
    let definitions: Api<CustomResourceDefinition> = Api::all(admin.clone());
    for (_, yaml) in crd_yaml() {
        let definition: CustomResourceDefinition = serde_saphyr::from_str(&yaml).unwrap();
        let name = definition.metadata.name.clone().unwrap();
        definitions.create(&PostParams::default(), &definition).await.unwrap();
        let known = await_condition(definitions.clone(), &name, conditions::is_crd_established());
        tokio::time::timeout(Duration::from_secs(60), known).await.unwrap().unwrap();
    }
    create::<Namespace>(&Api::all(admin.clone()), json!({"metadata": {"name": NAMESPACE}})).await;
    // Pods need one, and there is no controller to make it.
    let accounts: Api<ServiceAccount> = Api::namespaced(admin, NAMESPACE);
    create(&accounts, json!({"metadata": {"name": "default"}})).await;
    plane
}

/// The address and credentials that a kubeconfig has.
pub(crate) async fn config(kubeconfig: PathBuf) -> Config {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap()
}

pub(crate) async fn create<K>(api: &Api<K>, object: Value) -> K
where
    K: kube::Resource + Clone + DeserializeOwned + serde::Serialize + std::fmt::Debug,
{
    api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap()
}

/// One Greenroom cluster's objects.
pub(crate) struct Cluster {
    pub(crate) name: String,
    pub(crate) shards: ShardCount,
    pub(crate) admin: Client,
    /// How its nodes connect.
    pub(crate) node: Config,
}

impl Cluster {
    /// With its pages and the rights of its nodes. The name is to be another for each test.
    pub(crate) async fn new(plane: &ControlPlane, name: &str, shards: ShardCount) -> Self {
        let cluster = Self::without_pages(plane, name, shards).await;
        for page in 0..shards.pages() {
            cluster.create_page(page).await;
        }
        cluster
    }

    pub(crate) async fn without_pages(plane: &ControlPlane, name: &str, shards: ShardCount) -> Self {
        let admin = connect(config(plane.kubeconfig()).await).unwrap();
        let user = user(name);
        allow(&admin, name, shards).await;
        let node = config(plane.kubeconfig_for(&user, &[]).unwrap()).await;
        Self { name: name.to_owned(), shards, admin, node }
    }

    /// The back end as a node has it.
    pub(crate) fn register(&self) -> Arc<dyn Coordination> {
        self.register_at(self.node.clone())
    }

    pub(crate) fn register_at(&self, config: Config) -> Arc<dyn Coordination> {
        let client = connect(config).unwrap();
        let env = Arc::new(SystemEnv);
        Arc::new(KubeCoordination::with_client(client, NAMESPACE, &self.name, self.shards, env))
    }

    pub(crate) fn pages(&self) -> Api<ShardMap> {
        Api::namespaced(self.admin.clone(), NAMESPACE)
    }

    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.admin.clone(), NAMESPACE)
    }

    /// A page as the operator makes it.
    pub(crate) async fn create_page(&self, page: u16) -> ShardMap {
        let (name, shards) = (names::shard_map(&self.name, page), self.shards.get());
        let map = json!({
            "apiVersion": "greenroom.dev/v1alpha1",
            "kind": "ShardMap",
            "metadata": {
                "name": name,
                "labels": {names::CLUSTER_LABEL: self.name},
                "annotations": {names::HASH_ANNOTATION: "1"},
                "ownerReferences": [{"apiVersion": "v1", "kind": "Secret", "name": "s", "uid": "u"}],
            },
            "spec": {"cluster": self.name, "range": "", "page": page, "shards": shards, "entries": []},
        });
        create(&self.pages(), map).await
    }

    /// A pod of this cluster, running at the peer's address. One that is there already gets the address.
    pub(crate) async fn run_pod(&self, name: &str, ip: &str) {
        let pods = self.pods();
        if pods.get_opt(name).await.unwrap().is_none() {
            let pod = json!({
                "metadata": {
                    "name": name,
                    "labels": {names::CLUSTER_LABEL: self.name, "app.kubernetes.io/component": names::NODE_COMPONENT},
                },
                "spec": {"containers": [{"name": names::NODE_CONTAINER, "image": "greenroom.example/node"}]},
            });
            create(&pods, pod).await;
        }
        let node = json!({
            "name": names::NODE_CONTAINER, "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"running": {"startedAt": "2026-01-02T03:04:05Z"}},
        });
        let status =
            json!({"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "containerStatuses": [node]});
        self.patch_status(name, status).await;
    }

    pub(crate) async fn patch_status(&self, pod: &str, status: Value) {
        let patch = Patch::Merge(json!({"status": status}));
        self.pods().patch_status(pod, &PatchParams::default(), &patch).await.unwrap();
    }

    pub(crate) async fn delete_pod(&self, name: &str) {
        self.pods().delete(name, &DeleteParams::default().grace_period(0)).await.unwrap();
    }
}

/// The name under which the nodes of a cluster connect in these tests.
pub(crate) fn user(cluster: &str) -> String {
    format!("{cluster}-nodes")
}

/// What the operator allows the nodes of a cluster.
async fn allow(admin: &Client, cluster: &str, shards: ShardCount) {
    let pages: Vec<_> = (0..shards.pages()).map(|page| names::shard_map(cluster, page)).collect();
    let role = json!({
        "metadata": {"name": names::node_objects(cluster)},
        "rules": [
            {"apiGroups": [names::GROUP], "resources": ["shardmaps"], "resourceNames": pages,
             "verbs": ["get", "update", "watch"]},
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]},
        ],
    });
    let binding = json!({
        "metadata": {"name": names::node_objects(cluster)},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": names::node_objects(cluster)},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user(cluster)}],
    });
    create::<Role>(&Api::namespaced(admin.clone(), NAMESPACE), role).await;
    create::<RoleBinding>(&Api::namespaced(admin.clone(), NAMESPACE), binding).await;
}

/// A node as others see it by its pod.
pub(crate) fn peer(name: &str, ip: &str) -> Peer {
    let address = |(_, port): (&str, u16)| format!("{ip}:{port}");
    Peer {
        name: name.to_owned(),
        mesh_address: address(names::MESH_PORT),
        gateway_address: address(names::GATEWAY_PORT),
        admin_address: address(names::ADMIN_PORT),
        health_address: address(names::HEALTH_PORT),
        pid: 0,
    }
}
