//! The contents of the TLS Secret: made, read, and carried through the steps of [`renewal`](super::renewal).

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use ring::rand::SecureRandom;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use thiserror::Error;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::renewal::{AUTHORITY_LIFETIME, CERTIFICATE_LIFETIME, Facts, Step, Validity};

/// Certificates begin this long ago, for clocks that are behind.
const BACKDATED: Duration = Duration::from_secs(300);

/// Why the Secret cannot be used.
#[derive(Debug, Error)]
pub enum PkiError {
    /// A key of the Secret is missing.
    #[error("the Secret has no {0}; delete it, and a new one is made")]
    Missing(&'static str),
    /// A value is not what it should be.
    #[error("{0} in the Secret cannot be used: {1}; delete the Secret, and a new one is made")]
    Value(&'static str, String),
    /// The library refuses.
    #[error("a certificate cannot be made: {0}")]
    Make(#[from] rcgen::Error),
}

/// What the replicas share.
#[derive(Clone, PartialEq, Eq)]
pub struct Bundle {
    /// The published authorities as PEM, the newest first.
    pub authorities: Vec<String>,
    authority_key: String,
    /// The certificate, PEM.
    pub certificate: String,
    /// Its key, PEM.
    pub key: String,
    /// What signs continue tokens.
    pub continue_key: Vec<u8>,
}

const AUTHORITIES: &str = "ca.crt";
const AUTHORITY_KEY: &str = "ca.key";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const CONTINUE_KEY: &str = "continue.key";

impl Bundle {
    /// A new authority with a certificate for `names`, the first of which is also its common name.
    pub fn make(names: &[String], now: SystemTime) -> Result<Self, PkiError> {
        let (authority, authority_key) = make_authority(now)?;
        let (certificate, key) = sign(&authority, &authority_key, names, now)?;
        let mut continue_key = vec![0; 32];
        ring::rand::SystemRandom::new()
            .fill(&mut continue_key)
            .map_err(|_| PkiError::Value(CONTINUE_KEY, "the system has no randomness".to_owned()))?;
        Ok(Self { authorities: vec![authority], authority_key, certificate, key, continue_key })
    }

    /// From the data of the Secret.
    pub fn read(data: &BTreeMap<String, Vec<u8>>) -> Result<Self, PkiError> {
        let bytes = |name| data.get(name).filter(|value| !value.is_empty()).ok_or(PkiError::Missing(name));
        let text = |name| {
            String::from_utf8(bytes(name)?.clone()).map_err(|error| PkiError::Value(name, error.to_string()))
        };
        let bundle = Self {
            authorities: split(&text(AUTHORITIES)?),
            authority_key: text(AUTHORITY_KEY)?,
            certificate: text(CERTIFICATE)?,
            key: text(KEY)?,
            continue_key: bytes(CONTINUE_KEY)?.clone(),
        };
        if bundle.authorities.is_empty() {
            return Err(PkiError::Value(AUTHORITIES, "it holds no certificate".to_owned()));
        }
        bundle.facts(&[]).map(|_| bundle)
    }

    /// As the data of the Secret.
    pub fn write(&self) -> BTreeMap<String, Vec<u8>> {
        [
            (AUTHORITIES, self.authorities.concat().into_bytes()),
            (AUTHORITY_KEY, self.authority_key.clone().into_bytes()),
            (CERTIFICATE, self.certificate.clone().into_bytes()),
            (KEY, self.key.clone().into_bytes()),
            (CONTINUE_KEY, self.continue_key.clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// What renewal decides by. The certificate must be for `names`.
    pub fn facts(&self, names: &[String]) -> Result<Facts, PkiError> {
        let (authority, certificate) =
            (der(AUTHORITIES, &self.authorities[0])?, der(CERTIFICATE, &self.certificate)?);
        let (authority, certificate) = (parse(AUTHORITIES, &authority)?, parse(CERTIFICATE, &certificate)?);
        let held: Vec<String> = certificate
            .subject_alternative_name()
            .ok()
            .flatten()
            .map(|names| names.value.general_names.iter().map(dns_name).collect())
            .unwrap_or_default();
        Ok(Facts {
            authority: validity(&authority),
            older: self.authorities.len() > 1,
            certificate: validity(&certificate),
            signed_by_newest: certificate.verify_signature(Some(authority.public_key())).is_ok(),
            names_fit: names.iter().all(|name| held.contains(name)),
        })
    }

    /// The bundle after a step.
    pub fn after(&self, step: Step, names: &[String], now: SystemTime) -> Result<Self, PkiError> {
        let mut next = self.clone();
        match step {
            Step::AddAuthority => {
                let (authority, key) = make_authority(now)?;
                next.authorities.insert(0, authority);
                next.authority_key = key;
            }
            Step::Sign => {
                (next.certificate, next.key) = sign(&self.authorities[0], &self.authority_key, names, now)?;
            }
            Step::DropOlder => next.authorities.truncate(1),
        }
        Ok(next)
    }
}

fn make_authority(now: SystemTime) -> Result<(String, String), PkiError> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, "greenroom-placement-api");
    params.not_before = (now - BACKDATED).into();
    params.not_after = (now + AUTHORITY_LIFETIME).into();
    let key = KeyPair::generate()?;
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}

fn sign(
    authority: &str,
    authority_key: &str,
    names: &[String],
    now: SystemTime,
) -> Result<(String, String), PkiError> {
    let issuer = Issuer::from_ca_cert_pem(authority, KeyPair::from_pem(authority_key)?)?;
    let mut params = CertificateParams::new(names.to_vec())?;
    if let Some(name) = names.first() {
        // A common name has at most 64 characters; nobody reads it where there are other names.
        params.distinguished_name.push(DnType::CommonName, &name[..name.len().min(64)]);
    }
    params.not_before = (now - BACKDATED).into();
    params.not_after = (now + CERTIFICATE_LIFETIME).into();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    Ok((params.signed_by(&key, &issuer)?.pem(), key.serialize_pem()))
}

/// The certificates of a PEM file, each as a PEM file.
fn split(pem: &str) -> Vec<String> {
    const END: &str = "-----END CERTIFICATE-----";
    let parts = pem.split_inclusive(END).filter(|part| part.contains("-----BEGIN"));
    parts.map(|part| format!("{}\n", part.trim())).collect()
}

fn der(name: &'static str, pem: &str) -> Result<CertificateDer<'static>, PkiError> {
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| PkiError::Value(name, error.to_string()))
}

fn parse<'a>(name: &'static str, der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, PkiError> {
    let parsed = X509Certificate::from_der(der).map_err(|error| PkiError::Value(name, error.to_string()))?;
    Ok(parsed.1)
}

fn validity(certificate: &X509Certificate<'_>) -> Validity {
    let time = |seconds: i64| {
        SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
    };
    let validity = certificate.validity();
    Validity {
        start: time(validity.not_before.timestamp()) + BACKDATED,
        end: time(validity.not_after.timestamp()),
    }
}

fn dns_name(name: &x509_parser::extensions::GeneralName<'_>) -> String {
    match name {
        x509_parser::extensions::GeneralName::DNSName(name) => (*name).to_owned(),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_goes_through_its_steps_and_through_the_secret() {
        let now = SystemTime::now();
        let names = vec!["api.ns.svc".to_owned(), "api.ns.svc.cluster.local".to_owned()];
        let bundle = Bundle::make(&names, now).unwrap();
        assert!(Bundle::read(&bundle.write()).unwrap() == bundle);
        let facts = bundle.facts(&names).unwrap();
        assert!(facts.signed_by_newest && facts.names_fit && !facts.older);
        assert!(!bundle.facts(&["other".to_owned()]).unwrap().names_fit);

        let added = bundle.after(Step::AddAuthority, &names, now).unwrap();
        let facts = added.facts(&names).unwrap();
        assert!(facts.older && !facts.signed_by_newest);
        let signed = added.after(Step::Sign, &names, now).unwrap();
        let facts = signed.facts(&names).unwrap();
        assert!(facts.older && facts.signed_by_newest);
        assert!(Bundle::read(&signed.write()).unwrap() == signed);
        let dropped = signed.after(Step::DropOlder, &names, now).unwrap();
        assert_eq!(dropped.authorities, added.authorities[..1]);
        assert!(dropped.continue_key == bundle.continue_key);
    }

    #[test]
    fn a_broken_secret_says_what_is_wrong() {
        let mut data = Bundle::make(&["a".to_owned()], SystemTime::now()).unwrap().write();
        data.insert("tls.crt".into(), b"nonsense".to_vec());
        let error = Bundle::read(&data).map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with("tls.crt in the Secret cannot be used"), "{error}");
        data.remove("ca.key");
        let error = Bundle::read(&data).map(|_| ()).unwrap_err().to_string();
        assert_eq!(error, "the Secret has no ca.key; delete it, and a new one is made");
    }
}
