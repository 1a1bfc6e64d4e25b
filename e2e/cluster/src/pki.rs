//! Certificate authorities and what they sign: the X.509 side of a Kubernetes cluster.
//!
//! All keys are ECDSA P-256, made anew for each cluster; nothing is ever trusted across clusters. A user of the API
//! server is a client certificate whose common name is the user and whose organisations are the groups.

use std::net::IpAddr;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};

use crate::error::{Error, Result};

/// A certificate and its key, both PEM.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// Who a certificate is for.
#[derive(Default)]
pub(crate) struct Subject<'a> {
    pub(crate) user: &'a str,
    pub(crate) groups: &'a [&'a str],
    /// Names and addresses it may serve under; empty for those who are clients only.
    pub(crate) serves: &'a [SanType],
}

/// Signs certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    identity: Identity,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = named(name, &[])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        let identity = Identity { certificate: params.self_signed(&key)?.pem(), key: key.serialize_pem() };
        Ok(Self { issuer: Issuer::new(params, key), identity })
    }

    /// Its own certificate and key.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Signs a client certificate; one that serves names may be used by a server, too.
    pub(crate) fn issue(&self, subject: &Subject<'_>) -> Result<Identity> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = named(subject.user, subject.groups)?;
        params.subject_alt_names = subject.serves.to_vec();
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if !subject.serves.is_empty() {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Identity { certificate, key: key.serialize_pem() })
    }
}

/// rcgen keeps one value per attribute type. The second organisation goes under the same object identifier, spelled
/// as a custom type; for a third there is no spelling left.
fn named(common_name: &str, organisations: &[&str]) -> Result<DistinguishedName> {
    let spellings = [DnType::OrganizationName, DnType::CustomDnType(vec![2, 5, 4, 10])];
    if organisations.len() > spellings.len() {
        return Err(Error::Refused(format!(
            "{} groups do not fit in a certificate; name at most two",
            organisations.len()
        )));
    }
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    for (spelling, organisation) in spellings.into_iter().zip(organisations) {
        name.push(spelling, *organisation);
    }
    Ok(name)
}

/// The key that service account tokens are signed with, PEM: public, private.
pub(crate) fn token_key() -> Result<(String, String)> {
    let key = KeyPair::generate()?;
    Ok((key.public_key_pem(), key.serialize_pem()))
}

/// A DNS name that a certificate serves.
pub(crate) fn dns(name: &str) -> Result<SanType> {
    Ok(SanType::DnsName(name.try_into()?))
}

/// An address that a certificate serves.
pub(crate) fn ip(address: IpAddr) -> SanType {
    SanType::IpAddress(address)
}
