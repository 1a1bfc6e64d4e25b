//! How the API server says who asked: the ConfigMap `kube-system/extension-apiserver-authentication`.
//!
//! It names the authority of the front proxy, the names that its certificate may have, and the headers; and the authority
//! of ordinary client certificates. It is watched, since authorities are exchanged while programs run.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use futures_util::TryStreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use thiserror::Error;
use tracing::{info, warn};

/// The namespace and name of the ConfigMap.
pub const CONFIG_MAP: (&str, &str) = ("kube-system", "extension-apiserver-authentication");

/// Why the ConfigMap cannot be used.
#[derive(Debug, Error)]
pub enum RequestHeaderError {
    /// It lacks the front proxy's authority.
    #[error(
        "the ConfigMap kube-system/extension-apiserver-authentication has no requestheader-client-ca-file; start kube-apiserver with --requestheader-client-ca-file"
    )]
    NoAuthority,
    /// A value is not what it should be.
    #[error("{key} in the ConfigMap kube-system/extension-apiserver-authentication is not valid: {message}")]
    Value {
        /// The key.
        key: &'static str,
        /// What is wrong.
        message: String,
    },
}

/// Who may say who asked, and how.
#[derive(Debug, Clone)]
pub struct RequestHeaders {
    /// Checks the front proxy's certificate.
    pub front_proxy: Arc<dyn ClientCertVerifier>,
    /// Checks the certificates of users.
    pub users: Option<Arc<dyn ClientCertVerifier>>,
    /// Both authorities: what a handshake asks for.
    pub any: Arc<RootCertStore>,
    /// The common names that the front proxy may have; empty: any.
    pub allowed_names: Vec<String>,
    /// The headers with the user's name; the first that is there counts.
    pub username: Vec<String>,
    /// The headers with the groups.
    pub groups: Vec<String>,
    /// The headers with the user's uid.
    pub uid: Vec<String>,
    /// What the names of the other headers begin with.
    pub extra_prefixes: Vec<String>,
}

impl RequestHeaders {
    /// Reads the ConfigMap.
    pub fn parse(map: &ConfigMap, provider: &Arc<CryptoProvider>) -> Result<Self, RequestHeaderError> {
        let value = |key: &str| map.data.as_ref().and_then(|data| data.get(key)).map(String::as_str);
        let names = |key: &'static str, default: &[&str]| match value(key) {
            None => Ok(default.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()),
            Some(text) => serde_json::from_str::<Vec<String>>(text)
                .map_err(|error| RequestHeaderError::Value { key, message: error.to_string() }),
        };
        let proxy_key = "requestheader-client-ca-file";
        let proxy_pem = value(proxy_key).ok_or(RequestHeaderError::NoAuthority)?;
        let front_proxy = roots(proxy_key, proxy_pem)?;
        let users = value("client-ca-file").map(|pem| roots("client-ca-file", pem)).transpose()?;
        let mut any = front_proxy.clone();
        any.roots.extend(users.iter().flat_map(|users| users.roots.clone()));
        Ok(Self {
            front_proxy: verifier(proxy_key, front_proxy, provider)?,
            users: users.map(|roots| verifier("client-ca-file", roots, provider)).transpose()?,
            any: Arc::new(any),
            allowed_names: names("requestheader-allowed-names", &[])?,
            username: names("requestheader-username-headers", &["X-Remote-User"])?,
            groups: names("requestheader-group-headers", &["X-Remote-Group"])?,
            uid: names("requestheader-uid-headers", &["X-Remote-Uid"])?,
            extra_prefixes: names("requestheader-extra-headers-prefix", &["X-Remote-Extra-"])?,
        })
    }
}

fn roots(key: &'static str, pem: &str) -> Result<RootCertStore, RequestHeaderError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let added = certificate
            .map_err(|error| error.to_string())
            .and_then(|certificate| roots.add(certificate).map_err(|error| error.to_string()));
        added.map_err(|message| RequestHeaderError::Value { key, message })?;
    }
    Ok(roots)
}

fn verifier(
    key: &'static str,
    roots: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, RequestHeaderError> {
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|error| RequestHeaderError::Value { key, message: error.to_string() })
}

/// Whether the chain leads to one of the verifier's authorities, now.
pub fn accepts(verifier: &dyn ClientCertVerifier, chain: &[CertificateDer<'_>]) -> bool {
    chain
        .split_first()
        .is_some_and(|(leaf, between)| verifier.verify_client_cert(leaf, between, UnixTime::now()).is_ok())
}

/// Keeps `current` up with the ConfigMap, for ever. One that cannot be used leaves the last good one in use.
pub async fn follow(
    client: Client,
    provider: Arc<CryptoProvider>,
    current: Arc<ArcSwapOption<RequestHeaders>>,
) {
    let (namespace, name) = CONFIG_MAP;
    let api = Api::<ConfigMap>::namespaced(client, namespace);
    let config = watcher::Config::default().fields(&format!("metadata.name={name}")).timeout(200);
    let mut maps = std::pin::pin!(watcher(api, config).default_backoff().applied_objects());
    loop {
        match maps.try_next().await {
            Ok(Some(map)) => match RequestHeaders::parse(&map, &provider) {
                Ok(parsed) => {
                    info!(allowed_names = ?parsed.allowed_names, "the front proxy's authority is known");
                    current.store(Some(Arc::new(parsed)));
                }
                Err(error) => warn!(%error, "requests cannot be authenticated by a changed ConfigMap"),
            },
            Ok(None) => return,
            Err(error) => warn!(%error, "cannot watch the ConfigMap {namespace}/{name}; trying again"),
        }
    }
}
