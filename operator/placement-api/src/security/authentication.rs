//! Who asks.
//!
//! In this order: headers over a connection of the front proxy; a client certificate of the cluster; a bearer token,
//! which the API server reviews. Headers over any other connection are worth nothing: they are not even looked at.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use http::{Extensions, HeaderMap, header};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};
use percent_encoding::percent_decode_str;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::request_header::{RequestHeaders, accepts};
use crate::cache::Cache;
use crate::framework::errors::ApiError;

/// How long a reviewed token is believed without another review.
const TOKEN_LIFETIME: Duration = Duration::from_secs(10);
/// Tokens that are remembered.
const TOKENS: usize = 1_024;

/// The group of everybody who is known.
const AUTHENTICATED: &str = "system:authenticated";

/// Somebody who asks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct User {
    /// The name.
    pub name: String,
    /// The uid, if one was told.
    pub uid: Option<String>,
    /// The groups.
    pub groups: Vec<String>,
    /// What else was told.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// The certificates that the other side of a connection showed, its own first; put into each request by the listener.
/// The handshake has shown that it holds the key of the first.
#[derive(Debug, Clone)]
pub struct PeerChain(pub Arc<[CertificateDer<'static>]>);

/// Finds out who asks.
pub struct Authenticator {
    client: Client,
    headers: Arc<ArcSwapOption<RequestHeaders>>,
    tokens: Cache<[u8; 32], User>,
}

impl Authenticator {
    /// Asks `client` about tokens, and believes the front proxy of `headers`.
    pub fn new(client: Client, headers: Arc<ArcSwapOption<RequestHeaders>>) -> Self {
        Self { client, headers, tokens: Cache::new(TOKENS) }
    }

    /// Who sent this request.
    pub async fn authenticate(&self, headers: &HeaderMap, connection: &Extensions) -> Result<User, ApiError> {
        let rules = self.headers.load_full().ok_or_else(|| {
            ApiError::unavailable(
                "the server has not read the ConfigMap kube-system/extension-apiserver-authentication yet; try again, and see its log",
            )
        })?;
        let chain = connection.get::<PeerChain>().map(|chain| &*chain.0);
        if let Some(user) = chain.and_then(|chain| from_chain(&rules, chain, headers).transpose()) {
            return user;
        }
        match bearer(headers) {
            Some(token) => self.review(token).await,
            None => Err(ApiError::unauthorized(
                "nobody is known by this request; come through the Kubernetes API server, or with a client certificate or a token of it",
            )),
        }
    }

    async fn review(&self, token: &str) -> Result<User, ApiError> {
        let digest = ring::digest::digest(&ring::digest::SHA256, token.as_bytes());
        let key: [u8; 32] = digest.as_ref().try_into().expect("SHA-256 has 32 bytes");
        if let Some(user) = self.tokens.get(&key, Instant::now()) {
            return Ok(user);
        }
        let spec = TokenReviewSpec { token: Some(token.to_owned()), ..TokenReviewSpec::default() };
        let review = TokenReview { spec, ..TokenReview::default() };
        let (api, params) = (Api::<TokenReview>::all(self.client.clone()), PostParams::default());
        let created = api.create(&params, &review);
        let reviewed = tokio::time::timeout(super::authorization::REVIEW_TIMEOUT, created)
            .await
            .map_err(|_| ApiError::unavailable("the API server did not review the token in time; try again"))?
            .map_err(|error| {
                ApiError::unavailable(format!("the API server did not review the token: {error}; try again"))
            })?;
        let status = reviewed.status.unwrap_or_default();
        let user = status.user.filter(|_| status.authenticated == Some(true)).ok_or_else(|| {
            ApiError::unauthorized("the token is not valid; use one of this cluster that has not expired")
        })?;
        let user = User {
            name: user.username.unwrap_or_default(),
            uid: user.uid,
            groups: user.groups.unwrap_or_default(),
            extra: user.extra.unwrap_or_default(),
        };
        self.tokens.put(key, user.clone(), Instant::now() + TOKEN_LIFETIME);
        Ok(user)
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

/// The user that a connection with this chain speaks for; `None` if the chain says nothing.
fn from_chain(
    rules: &RequestHeaders,
    chain: &[CertificateDer<'_>],
    headers: &HeaderMap,
) -> Result<Option<User>, ApiError> {
    let Some(subject) = chain.first().and_then(|leaf| Subject::of(leaf)) else { return Ok(None) };
    if accepts(&*rules.front_proxy, chain) && named(rules, headers) {
        let allowed = rules.allowed_names.is_empty() || rules.allowed_names.contains(&subject.common_name);
        if !allowed {
            return Err(ApiError::unauthorized(format!(
                "the certificate of {:?} may not speak for others; only {:?} may",
                subject.common_name, rules.allowed_names
            )));
        }
        return Ok(Some(from_headers(rules, headers)));
    }
    if rules.users.as_deref().is_some_and(|users| accepts(users, chain)) {
        let mut groups = subject.organizations;
        groups.push(AUTHENTICATED.to_owned());
        return Ok(Some(User { name: subject.common_name, groups, ..User::default() }));
    }
    Ok(None)
}

/// Whether the headers name anybody.
fn named(rules: &RequestHeaders, headers: &HeaderMap) -> bool {
    rules.username.iter().any(|name| headers.get(name).is_some_and(|value| !value.is_empty()))
}

fn from_headers(rules: &RequestHeaders, headers: &HeaderMap) -> User {
    let first = |names: &[String]| {
        let mut values = names.iter().filter_map(|name| headers.get(name)).filter_map(|v| v.to_str().ok());
        values.find(|value| !value.is_empty()).map(str::to_owned)
    };
    let groups = rules.groups.iter().flat_map(|name| headers.get_all(name));
    let mut extra = BTreeMap::<String, Vec<String>>::new();
    for (name, value) in headers {
        let key = rules.extra_prefixes.iter().find_map(|prefix| {
            let (start, rest) = name.as_str().split_at_checked(prefix.len())?;
            start.eq_ignore_ascii_case(prefix).then_some(rest)
        });
        if let (Some(key), Ok(value)) = (key, value.to_str()) {
            // Keys may hold characters that a header's name may not.
            let key = percent_decode_str(key).decode_utf8_lossy().to_lowercase();
            extra.entry(key).or_default().push(value.to_owned());
        }
    }
    User {
        name: first(&rules.username).unwrap_or_default(),
        uid: first(&rules.uid),
        groups: groups.filter_map(|value| value.to_str().ok()).map(str::to_owned).collect(),
        extra,
    }
}

/// Whom a certificate is for.
struct Subject {
    common_name: String,
    organizations: Vec<String>,
}

impl Subject {
    fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let subject = parsed.subject();
        let common_name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
        let organizations = subject.iter_organization().filter_map(|o| o.as_str().ok());
        Some(Self { common_name, organizations: organizations.map(str::to_owned).collect() })
    }
}

#[cfg(test)]
mod tests;
