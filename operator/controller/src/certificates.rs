//! Keeps the certificate authority and the certificates that it issued in Secrets.
//!
//! | Secret | where | for |
//! |---|---|---|
//! | `--ca-secret` | the operator's namespace | the authority itself |
//! | `--placement-api-client-secret` | the operator's namespace | the placement API, to ask nodes |
//! | `<cluster>-node-tls` | the cluster's | its nodes: mesh and admin port |
//! | `<cluster>-admin-tls` | the cluster's | people: `kubectl greenroom` |
//!
//! Secrets are read and written one by one, by name; never listed or watched, so the operator needs no right to see
//! those of others. In between, what was last found is remembered, and looked at again every [`LOOK_AGAIN`] or when a
//! renewal is due. The authority is created, never applied, and later changed with its version as the condition: two
//! replicas never make two.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use greenroom_crds::ActorCluster;
use greenroom_crds::names::{
    APP_NAME, CLUSTER_LABEL, MANAGED_BY, TLS_FILES, admin_secret, identity, mesh_service, node_secret,
};
use greenroom_tls::{Pem, Tls};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tracing::info;

use crate::apply::FIELD_MANAGER;
use crate::authority::{Authority, Facts, Pair};
use crate::error::{Error, status_code};
use crate::metrics::Metrics;

/// How often a Secret is read though nothing is due: somebody may have deleted or changed it.
const LOOK_AGAIN: Duration = Duration::from_secs(300);
/// Where the authority that will sign next is kept.
const NEXT: [&str; 2] = ["next.crt", "next.key"];
const CERTIFICATE: &str = TLS_FILES[0];
const KEY: &str = TLS_FILES[1];
const AUTHORITIES: &str = TLS_FILES[2];

/// A Secret, by namespace and name.
type SecretRef = (String, String);

/// The certificates of this installation.
pub(crate) struct Certificates {
    client: Client,
    namespace: String,
    ca_secret: String,
    placement_api_secret: String,
    metrics: Arc<Metrics>,
    authority: tokio::sync::Mutex<Option<(Authority, Instant)>>,
    known: Mutex<HashMap<SecretRef, Known>>,
    own: Mutex<Option<Own>>,
}

/// The operator's own certificate.
struct Own {
    tls: Tls,
    renew_at: SystemTime,
    bundle: String,
}

/// What was last found in a Secret.
struct Known {
    /// The bundle in it.
    bundle: String,
    renew_at: SystemTime,
    look_again: Instant,
}

impl Certificates {
    pub(crate) fn new(client: Client, args: &crate::args::Args, metrics: Arc<Metrics>) -> Self {
        Self {
            client,
            namespace: args.namespace.clone(),
            ca_secret: args.ca_secret.clone(),
            placement_api_secret: args.placement_api_client_secret.clone(),
            metrics,
            authority: tokio::sync::Mutex::default(),
            known: Mutex::default(),
            own: Mutex::default(),
        }
    }

    /// Forgets what was found: at the start of a term, another leader may have changed everything.
    pub(crate) async fn forget(&self) {
        *self.authority.lock().await = None;
        self.known.lock().clear();
    }

    /// By which the operator shows itself to nodes. Made anew at half its life; kept in memory only.
    pub(crate) async fn own(&self) -> Result<Tls, Error> {
        let (authority, now) = (self.authority().await?, SystemTime::now());
        let mut own = self.own.lock();
        if let Some(own) = &*own
            && now < own.renew_at
            && own.bundle == authority.bundle
        {
            return Ok(own.tls.clone());
        }
        let pair = authority.issue(&[identity::OPERATOR.to_owned()], now)?;
        let renew_at = Facts::read(&pair.certificate)?.half();
        let pem = Pem {
            certificate: pair.certificate.into_bytes(),
            key: pair.key.into_bytes(),
            authorities: authority.bundle.clone().into_bytes(),
        };
        let tls = match &*own {
            // Whoever uses it already goes on with the new one.
            Some(own) => own.tls.replace(pem).map(|()| own.tls.clone()),
            None => Tls::new(pem),
        };
        let tls = tls.map_err(|error| Error::Certificates(error.to_string()))?;
        *own = Some(Own { tls: tls.clone(), renew_at, bundle: authority.bundle });
        Ok(tls)
    }

    /// The placement API's certificate is there and good.
    pub(crate) async fn ensure_placement_api(&self) -> Result<(), Error> {
        let secret = (self.namespace.clone(), self.placement_api_secret.clone());
        self.ensure(secret, vec![identity::PLACEMENT_API.to_owned()], labels(None), Vec::new()).await
    }

    /// The certificates of a cluster's nodes and of its administrators are there and good.
    pub(crate) async fn ensure_cluster(&self, cluster: &ActorCluster) -> Result<(), Error> {
        let (name, namespace) = (cluster.name_any(), cluster.namespace().unwrap_or_default());
        let node = vec![
            identity::node(&name, &namespace),
            format!("*.{}.{namespace}.svc", mesh_service(&name)),
            "localhost".to_owned(),
        ];
        let admin = vec![identity::admin(&name, &namespace)];
        let owners: Vec<Value> = (cluster.controller_owner_ref(&()).iter())
            .map(|owner| serde_json::to_value(owner).expect("a reference is plain data"))
            .collect();
        for (secret, names) in [(node_secret(&name), node), (admin_secret(&name), admin)] {
            let secret = (namespace.clone(), secret);
            self.ensure(secret, names, labels(Some(&name)), owners.clone()).await?;
        }
        Ok(())
    }

    /// A cluster that is gone has no certificates; its Secrets go with it.
    pub(crate) fn forget_cluster(&self, name: &str, namespace: &str) {
        for secret in [node_secret(name), admin_secret(name)] {
            let _ = self.metrics.certificate_expiry.remove_label_values(&[namespace, &secret]);
            self.known.lock().remove(&(namespace.to_owned(), secret));
        }
    }

    async fn ensure(
        &self,
        secret: SecretRef,
        names: Vec<String>,
        labels: BTreeMap<&str, String>,
        owners: Vec<Value>,
    ) -> Result<(), Error> {
        let (authority, now) = (self.authority().await?, SystemTime::now());
        let fresh = |known: &Known| {
            known.bundle == authority.bundle && now < known.renew_at && Instant::now() < known.look_again
        };
        if self.known.lock().get(&secret).is_some_and(fresh) {
            return Ok(());
        }
        let (namespace, name) = &secret;
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let found = api.get_opt(name).await.map_err(Error::api(format!("get Secret {name}")))?;
        let (leaf, bundle) = found.as_ref().map_or_else(Default::default, |found| {
            (text(found, CERTIFICATE).unwrap_or_default(), text(found, AUTHORITIES).unwrap_or_default())
        });
        let mut leaf = leaf;
        if let Some(why) = authority.renewal(&leaf, &bundle, &names, now) {
            let pair = authority.issue(&names, now)?;
            info!(namespace, secret = name, why, "a certificate is made");
            let data = [(CERTIFICATE, &pair.certificate), (KEY, &pair.key), (AUTHORITIES, &authority.bundle)];
            let object = secret_object(name, labels, owners, &data);
            let how = PatchParams::apply(FIELD_MANAGER).force();
            let applied = api.patch(name, &how, &Patch::Apply(object)).await;
            applied.map_err(Error::api(format!("apply Secret {name}")))?;
            leaf = pair.certificate;
        }
        let facts = Facts::read(&leaf)?;
        let expiry = facts.not_after.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.metrics.certificate_expiry.with_label_values(&[namespace, name]).set(expiry.as_secs_f64());
        let known = Known {
            bundle: authority.bundle,
            renew_at: facts.half(),
            look_again: Instant::now() + LOOK_AGAIN,
        };
        self.known.lock().insert(secret, known);
        Ok(())
    }

    /// The authority as it should be now; made, or replaced in time, if need be.
    async fn authority(&self) -> Result<Authority, Error> {
        let mut cached = self.authority.lock().await;
        if let Some((authority, read)) = &*cached
            && read.elapsed() < LOOK_AGAIN
        {
            return Ok(authority.clone());
        }
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let name = &self.ca_secret;
        let found = api.get_opt(name).await.map_err(Error::api(format!("get Secret {name}")))?;
        let authority = match found {
            Some(found) => self.current(&api, found).await?,
            None => self.create(&api).await?,
        };
        *cached = Some((authority.clone(), Instant::now()));
        Ok(authority)
    }

    async fn create(&self, api: &Api<Secret>) -> Result<Authority, Error> {
        let (name, authority) = (&self.ca_secret, Authority::new(SystemTime::now())?);
        let object = secret_object(name, labels(None), Vec::new(), &data(&authority));
        let secret = serde_json::from_value(object).expect("a Secret is what was built");
        let how = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
        match api.create(&how, &secret).await {
            Ok(_) => {
                info!(secret = name, "a certificate authority is made");
                Ok(authority)
            }
            // Another replica was first; its authority is the one.
            Err(error) if status_code(&error) == Some(409) => {
                let found = api.get(name).await.map_err(Error::api(format!("get Secret {name}")))?;
                read(name, &found)
            }
            Err(error) => Err(Error::api(format!("create Secret {name}"))(error)),
        }
    }

    async fn current(&self, api: &Api<Secret>, found: Secret) -> Result<Authority, Error> {
        let name = &self.ca_secret;
        let authority = read(name, &found)?;
        let Some(renewed) = authority.renewed(SystemTime::now())? else { return Ok(authority) };
        let mut object = secret_object(name, labels(None), Vec::new(), &data(&renewed));
        object["metadata"]["resourceVersion"] = json!(found.resource_version());
        let how = PatchParams::apply(FIELD_MANAGER).force();
        let applied = api.patch(name, &how, &Patch::Apply(object)).await;
        applied.map_err(Error::api(format!("apply Secret {name}")))?;
        info!(secret = name, signs = renewed.next.is_none(), "the certificate authority is being replaced");
        Ok(renewed)
    }
}

fn data(authority: &Authority) -> Vec<(&'static str, &String)> {
    let Pair { certificate, key } = &authority.current;
    let mut data = vec![(CERTIFICATE, certificate), (KEY, key), (AUTHORITIES, &authority.bundle)];
    if let Some(next) = &authority.next {
        data.extend([(NEXT[0], &next.certificate), (NEXT[1], &next.key)]);
    }
    data
}

fn read(name: &str, secret: &Secret) -> Result<Authority, Error> {
    let need = |file: &str| {
        text(secret, file).ok_or_else(|| {
            Error::Certificates(format!(
                "Secret {name} has no {file}; delete the Secret to have a new authority made (nodes are cut off until they restart), or restore it"
            ))
        })
    };
    let next = text(secret, NEXT[0]).zip(text(secret, NEXT[1]));
    Ok(Authority {
        current: Pair { certificate: need(CERTIFICATE)?, key: need(KEY)? },
        next: next.map(|(certificate, key)| Pair { certificate, key }),
        bundle: need(AUTHORITIES)?,
    })
}

fn text(secret: &Secret, file: &str) -> Option<String> {
    let ByteString(bytes) = secret.data.as_ref()?.get(file)?;
    String::from_utf8(bytes.clone()).ok()
}

fn labels(cluster: Option<&str>) -> BTreeMap<&'static str, String> {
    let mut labels = BTreeMap::from([
        ("app.kubernetes.io/name", APP_NAME.to_owned()),
        ("app.kubernetes.io/managed-by", MANAGED_BY.to_owned()),
    ]);
    if let Some(cluster) = cluster {
        labels.insert("app.kubernetes.io/instance", cluster.to_owned());
        labels.insert(CLUSTER_LABEL, cluster.to_owned());
    }
    labels
}

fn secret_object(
    name: &str,
    labels: BTreeMap<&str, String>,
    owners: Vec<Value>,
    data: &[(&str, &String)],
) -> Value {
    let data: BTreeMap<_, _> =
        data.iter().map(|(file, content)| (*file, ByteString(content.as_bytes().to_vec()))).collect();
    let mut object = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": name, "labels": labels},
        "data": data,
    });
    if !owners.is_empty() {
        object["metadata"]["ownerReferences"] = json!(owners);
    }
    object
}
