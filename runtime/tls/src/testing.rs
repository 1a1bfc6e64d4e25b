//! An authority for tests: makes what the operator makes, and what it would never make.

use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::{Pem, Tls};

/// An authority that signs certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A new authority, which nobody trusts yet.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "greenroom test");
        let key = KeyPair::generate().expect("ring makes keys");
        Self(CertifiedIssuer::self_signed(params, key).expect("the parameters are valid"))
    }

    /// Its own certificate.
    pub fn certificate(&self) -> Vec<u8> {
        self.0.pem().into_bytes()
    }

    /// The files of somebody with these names, who trusts this authority; valid for an hour.
    pub fn pem(&self, names: &[&str]) -> Pem {
        self.pem_until(names, SystemTime::now() + Duration::from_secs(3600))
    }

    /// The same, valid until this moment.
    pub fn pem_until(&self, names: &[&str], end: SystemTime) -> Pem {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("the names are DNS names");
        params.not_before = (end - Duration::from_secs(7200)).into();
        params.not_after = end.into();
        let key = KeyPair::generate().expect("ring makes keys");
        let certificate = params.signed_by(&key, &self.0).expect("the parameters are valid");
        Pem {
            certificate: certificate.pem().into_bytes(),
            key: key.serialize_pem().into_bytes(),
            authorities: self.certificate(),
        }
    }

    /// [`Tls`] of somebody with these names.
    pub fn tls(&self, names: &[&str]) -> Tls {
        Tls::new(self.pem(names)).expect("the authority makes valid files")
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}
