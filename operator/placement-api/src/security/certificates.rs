//! Keeps the TLS Secret, the certificate in use and the APIService's `caBundle` right.
//!
//! Each replica looks each [`PERIOD`], and writes only if something is wrong; writes are conditional, so two replicas never
//! overtake each other, and an idle hour writes nothing. The APIService itself belongs to whoever installed it: only its
//! `caBundle` is set here, by server-side apply under a field manager of its own.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use data_encoding::BASE64;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::ObjectMeta;
use kube::{Api, Client};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use serde_json::json;
use thiserror::Error;
use tracing::{info, warn};

use super::pki::{Bundle, PkiError};
use super::renewal;
use crate::framework::continuation::ContinueKey;
use crate::framework::handlers::Server;

/// How often everything is looked at.
pub const PERIOD: Duration = Duration::from_secs(60);
/// How long until another try after an error.
const RETRY: Duration = Duration::from_secs(3);
/// How long the API server may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Who sets the `caBundle`.
const FIELD_MANAGER: &str = "greenroom-placement-api";

/// Why certificates are not in order.
#[derive(Debug, Error)]
pub enum CertificatesError {
    /// The API server refuses or does not answer.
    #[error("{doing}: {source}")]
    Kubernetes {
        /// What was tried.
        doing: String,
        /// Why it failed.
        source: Box<kube::Error>,
    },
    /// It did not answer in time.
    #[error("{0}: the API server did not answer in time")]
    Timeout(String),
    /// Certificates cannot be made or read.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The key cannot be used.
    #[error("the certificate cannot be used: {0}")]
    Tls(#[from] rustls::Error),
    /// Another replica wrote at the same moment.
    #[error("another replica has changed the Secret; reading it again")]
    Conflict,
}

/// What the certificates are for, and where they lie.
#[derive(Debug, Clone)]
pub struct Names {
    /// The namespace of the Secret and of the Service.
    pub namespace: String,
    /// The Secret.
    pub secret: String,
    /// The names that the certificate is for.
    pub dns: Vec<String>,
    /// The APIService whose `caBundle` is kept right.
    pub api_service: String,
}

/// The certificate in use.
pub type Current = Arc<ArcSwapOption<InUse>>;

/// A certificate and when it ends.
pub struct InUse {
    /// With its key, for handshakes.
    pub certified: Arc<CertifiedKey>,
    /// When it stops being valid.
    pub expires: SystemTime,
    bundle: Bundle,
}

/// Keeps things right.
pub struct Keeper {
    /// The API server.
    pub client: Client,
    /// What for.
    pub names: Names,
    /// What signs.
    pub provider: Arc<CryptoProvider>,
    /// Where listeners find the certificate.
    pub current: Current,
    /// What needs the key for continue tokens.
    pub server: Arc<Server>,
}

impl Keeper {
    /// Keeps things right for ever.
    pub async fn run(self) {
        let mut told = None;
        loop {
            let wait = match self.look().await {
                Ok(()) => {
                    told = None;
                    PERIOD
                }
                Err(error) => {
                    let error = error.to_string();
                    if told.as_ref() != Some(&error) {
                        warn!(error, "certificates are not in order; trying again");
                        told = Some(error);
                    }
                    RETRY
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// Looks once, and takes what steps are due.
    pub async fn look(&self) -> Result<(), CertificatesError> {
        let bundle = self.bundle(SystemTime::now()).await?;
        // Published first: a certificate whose authority nobody knows is of no use.
        let published = self.publish(&bundle).await;
        self.take(bundle)?;
        published
    }

    /// The Secret as it should be, after the step that is due.
    async fn bundle(&self, now: SystemTime) -> Result<Bundle, CertificatesError> {
        let (api, names) = (self.secrets(), &self.names);
        let found = within("reading the TLS Secret", api.get_opt(&names.secret)).await?;
        let Some(mut secret) = found else {
            let bundle = Bundle::make(&names.dns, now)?;
            within("making the TLS Secret", api.create(&PostParams::default(), &self.secret(&bundle)))
                .await?;
            info!(secret = names.secret, "the TLS Secret is made");
            return Ok(bundle);
        };
        let data = secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect();
        let bundle = Bundle::read(&data)?;
        let Some(step) = renewal::next(&bundle.facts(&names.dns)?, now) else { return Ok(bundle) };
        let bundle = bundle.after(step, &names.dns, now)?;
        secret.data = self.secret(&bundle).data;
        within("renewing the TLS Secret", api.replace(&names.secret, &PostParams::default(), &secret))
            .await?;
        info!(?step, secret = names.secret, "the TLS Secret is renewed");
        Ok(bundle)
    }

    fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.names.namespace)
    }

    fn secret(&self, bundle: &Bundle) -> Secret {
        let labels = [
            ("app.kubernetes.io/name", "greenroom"),
            ("app.kubernetes.io/component", "placement-api"),
            ("app.kubernetes.io/managed-by", FIELD_MANAGER),
        ];
        Secret {
            metadata: ObjectMeta {
                name: Some(self.names.secret.clone()),
                labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
                ..ObjectMeta::default()
            },
            type_: Some("kubernetes.io/tls".to_owned()),
            data: Some(bundle.write().into_iter().map(|(key, value)| (key, ByteString(value))).collect()),
            ..Secret::default()
        }
    }

    /// Takes the bundle into use, if it is another than before.
    fn take(&self, bundle: Bundle) -> Result<(), CertificatesError> {
        if self.current.load().as_ref().is_some_and(|current| current.bundle == bundle) {
            return Ok(());
        }
        let unusable = |error: rustls::pki_types::pem::Error| {
            CertificatesError::Pki(PkiError::Value("tls.crt", error.to_string()))
        };
        let chain = CertificateDer::pem_slice_iter(bundle.certificate.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(unusable)?;
        let key = PrivateKeyDer::from_pem_slice(bundle.key.as_bytes()).map_err(unusable)?;
        let certified = Arc::new(CertifiedKey::from_der(chain, key, &self.provider)?);
        let expires = bundle.facts(&[])?.certificate.end;
        self.server.continue_key.store(Some(Arc::new(ContinueKey::new(&bundle.continue_key))));
        self.current.store(Some(Arc::new(InUse { certified, expires, bundle })));
        info!("a new certificate is in use");
        Ok(())
    }

    /// Sets the APIService's `caBundle`, if it is another.
    async fn publish(&self, bundle: &Bundle) -> Result<(), CertificatesError> {
        let (api, name) = (Api::<APIService>::all(self.client.clone()), &self.names.api_service);
        let found = within("reading the APIService", api.get_opt(name)).await?;
        let Some(spec) = found.and_then(|service| service.spec) else {
            warn!(
                name,
                "there is no such APIService, so nobody comes through the API server; install the chart"
            );
            return Ok(());
        };
        let wanted = bundle.authorities.concat().into_bytes();
        if spec.ca_bundle.is_some_and(|bundle| bundle.0 == wanted) {
            return Ok(());
        }
        let patch = json!({
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": { "name": name },
            "spec": { "caBundle": BASE64.encode(&wanted) },
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        within("setting the caBundle of the APIService", api.patch(name, &params, &Patch::Apply(&patch)))
            .await?;
        info!(name, authorities = bundle.authorities.len(), "the caBundle of the APIService is set");
        Ok(())
    }
}

async fn within<T>(
    doing: &str,
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, CertificatesError> {
    let answer = tokio::time::timeout(REQUEST_TIMEOUT, request)
        .await
        .map_err(|_| CertificatesError::Timeout(doing.to_owned()))?;
    answer.map_err(|error| match error {
        kube::Error::Api(status) if status.code == 409 => CertificatesError::Conflict,
        source => CertificatesError::Kubernetes { doing: doing.to_owned(), source: Box::new(source) },
    })
}
