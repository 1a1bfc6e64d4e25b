//! Who is believed to be whom.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};

use super::*;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn chain(&self, name: &str, organization: &str) -> Vec<CertificateDer<'static>> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.distinguished_name.push(DnType::OrganizationName, organization);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        vec![params.signed_by(&key, &self.0).unwrap().der().clone()]
    }
}

fn rules(proxy: &Authority, users: &Authority) -> RequestHeaders {
    let data = [
        ("requestheader-client-ca-file", proxy.0.pem()),
        ("client-ca-file", users.0.pem()),
        ("requestheader-allowed-names", r#"["front-proxy-client"]"#.to_owned()),
        ("requestheader-username-headers", r#"["X-Remote-User"]"#.to_owned()),
        ("requestheader-group-headers", r#"["X-Remote-Group"]"#.to_owned()),
        ("requestheader-extra-headers-prefix", r#"["X-Remote-Extra-"]"#.to_owned()),
    ];
    let data = data.map(|(key, value)| (key.to_owned(), value));
    let map = ConfigMap { data: Some(data.into()), ..ConfigMap::default() };
    RequestHeaders::parse(&map, &Arc::new(rustls::crypto::ring::default_provider())).unwrap()
}

fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("x-remote-user", "jane"),
        ("x-remote-uid", "u-1"),
        ("x-remote-group", "dev"),
        ("x-remote-group", "system:authenticated"),
        ("x-remote-extra-example.org%2fScope", "a"),
        ("x-remote-extra-example.org%2fscope", "b"),
    ] {
        headers.append(http::HeaderName::try_from(name.to_lowercase()).unwrap(), value.parse().unwrap());
    }
    headers
}

#[test]
fn the_front_proxy_speaks_for_others() {
    let (proxy, users) = (Authority::new("proxy"), Authority::new("users"));
    let chain = proxy.chain("front-proxy-client", "");
    let user = from_chain(&rules(&proxy, &users), &chain, &headers()).unwrap().unwrap();
    let extra = BTreeMap::from([("example.org/scope".to_owned(), vec!["a".to_owned(), "b".to_owned()])]);
    let expected = User {
        name: "jane".into(),
        uid: Some("u-1".into()),
        groups: vec!["dev".into(), "system:authenticated".into()],
        extra,
    };
    assert_eq!(user, expected);
}

#[test]
fn nobody_else_speaks_for_others() {
    let (proxy, users) = (Authority::new("proxy"), Authority::new("users"));
    let rules = rules(&proxy, &users);
    let wrong_name = from_chain(&rules, &proxy.chain("somebody", ""), &headers()).unwrap_err();
    assert_eq!(wrong_name.code, 401);
    // A user's certificate with forged headers: the certificate counts.
    let user = from_chain(&rules, &users.chain("joe", "ops"), &headers()).unwrap().unwrap();
    assert_eq!(
        (user.name.as_str(), user.groups.as_slice()),
        ("joe", &["ops".to_owned(), AUTHENTICATED.to_owned()][..])
    );
    assert_eq!(
        from_chain(&rules, &Authority::new("other").chain("front-proxy-client", ""), &headers()),
        Ok(None)
    );
    assert_eq!(from_chain(&rules, &[], &headers()), Ok(None));
}

#[test]
fn authorities_may_be_several_while_they_are_exchanged() {
    let (old, new, users) = (Authority::new("old"), Authority::new("new"), Authority::new("users"));
    let both = format!("{}{}", old.0.pem(), new.0.pem());
    let data = BTreeMap::from([
        ("requestheader-client-ca-file".to_owned(), both),
        ("client-ca-file".to_owned(), users.0.pem()),
    ]);
    let map = ConfigMap { data: Some(data), ..ConfigMap::default() };
    let rules = RequestHeaders::parse(&map, &Arc::new(rustls::crypto::ring::default_provider())).unwrap();
    for authority in [old, new] {
        assert!(from_chain(&rules, &authority.chain("any name", ""), &headers()).unwrap().is_some());
    }
}

#[test]
fn a_token_is_taken_from_the_header() {
    let bearer_of = |value: &str| {
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
        bearer(&headers).map(str::to_owned)
    };
    assert_eq!(bearer_of("Bearer abc"), Some("abc".into()));
    assert_eq!(bearer_of("bearer  abc"), Some("abc".into()));
    assert_eq!(bearer_of("Bearer "), None);
    assert_eq!(bearer_of("Basic abc"), None);
}
