//! The certificate authority of one installation: what it issues, and when something is due. No I/O, no clock.
//!
//! Rules:
//! - A certificate is renewed at half its life ([`LEAF_LIFE`]), so a whole half life of outages passes unnoticed.
//! - An authority is replaced when less than a third of its life ([`AUTHORITY_LIFE`]) is left, in two phases: the next
//!   one is **trusted** first, in every bundle, and **signs** only [`TRUST_BEFORE_USE`] later. The old one stays in the
//!   bundles until it has run out. So at no moment does a node meet a certificate that it cannot check.
//! - Each authority has a name of its own, so what it issued is known by its issuer.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

use crate::error::Error;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a certificate is good for. Half of it is how long the operator may be away before a node is turned down.
pub(crate) const LEAF_LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How long an authority is good for.
pub(crate) const AUTHORITY_LIFE: Duration = Duration::from_secs(3650 * 24 * 60 * 60);
/// How long an authority is trusted before it signs. Longer than a bundle takes to reach every pod.
const TRUST_BEFORE_USE: Duration = DAY;
/// Certificates begin a little in the past, for clocks that are behind.
const BACKDATED: Duration = Duration::from_secs(300);

/// A certificate and its key, as PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// The authority: who signs, who will, and whom to trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Authority {
    /// Signs.
    pub(crate) current: Pair,
    /// Is trusted, and will sign.
    pub(crate) next: Option<Pair>,
    /// Every authority that is trusted, one PEM after the other.
    pub(crate) bundle: String,
}

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
    pub(crate) names: Vec<String>,
    subject: String,
    issuer: String,
}

impl Authority {
    /// A new one, trusted from the start since nobody trusts another yet.
    pub(crate) fn new(now: SystemTime) -> Result<Self, Error> {
        let current = authority(now)?;
        Ok(Self { bundle: current.certificate.clone(), current, next: None })
    }

    /// What it should be by now, if it should be something else.
    pub(crate) fn renewed(&self, now: SystemTime) -> Result<Option<Self>, Error> {
        let facts = Facts::read(&self.current.certificate)?;
        let mut renewed = self.clone();
        match &self.next {
            None if due(&facts, now, 1, 3) => {
                let next = authority(now)?;
                renewed.bundle.push_str(&next.certificate);
                renewed.next = Some(next);
            }
            Some(next)
                if now >= Facts::read(&next.certificate)?.not_before + BACKDATED + TRUST_BEFORE_USE =>
            {
                renewed.current = next.clone();
                renewed.next = None;
            }
            _ => {}
        }
        renewed.bundle = unexpired(&renewed.bundle, now)?;
        Ok((renewed != *self).then_some(renewed))
    }

    /// A certificate for these names, for both ends of a connection.
    pub(crate) fn issue(&self, names: &[String], now: SystemTime) -> Result<Pair, Error> {
        let failed = |error: rcgen::Error| Error::Certificates(error.to_string());
        let signer = KeyPair::from_pem(&self.current.key).map_err(failed)?;
        let issuer = Issuer::from_ca_cert_pem(&self.current.certificate, signer).map_err(failed)?;
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = CertificateParams::new(names).map_err(failed)?;
        params.distinguished_name = common_name(names.first().map_or("greenroom", String::as_str));
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        set_validity(&mut params, now, LEAF_LIFE);
        let certificate = params.signed_by(&key, &issuer).map_err(failed)?;
        Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem() })
    }

    /// Why this certificate should be made anew, if it should.
    pub(crate) fn renewal(
        &self,
        leaf: &str,
        bundle: &str,
        names: &[String],
        now: SystemTime,
    ) -> Option<&'static str> {
        let Ok(facts) = Facts::read(leaf) else { return Some("it cannot be read") };
        let signer = Facts::read(&self.current.certificate).ok()?;
        let mut wanted = names.to_vec();
        wanted.sort();
        if facts.names != wanted {
            Some("its names are not what they should be")
        } else if facts.issuer != signer.subject {
            Some("another authority signs by now")
        } else if bundle != self.bundle {
            Some("other authorities are trusted by now")
        } else if due(&facts, now, 1, 2) {
            Some("half its life is over")
        } else {
            None
        }
    }
}

impl Facts {
    /// Reads the first certificate of a PEM.
    pub(crate) fn read(pem: &str) -> Result<Self, Error> {
        let failed = |error: String| Error::Certificates(format!("a certificate cannot be read: {error}"));
        let der =
            CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| failed(error.to_string()))?;
        let (_, parsed) = parse_x509_certificate(&der).map_err(|error| failed(error.to_string()))?;
        let at = |seconds: i64| UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        let names = parsed.subject_alternative_name().map_err(|error| failed(error.to_string()))?;
        let mut names: Vec<_> = (names.iter().flat_map(|names| &names.value.general_names))
            .filter_map(|name| match name {
                GeneralName::DNSName(name) => Some((*name).to_owned()),
                _ => None,
            })
            .collect();
        names.sort();
        Ok(Self {
            not_before: at(parsed.validity().not_before.timestamp()),
            not_after: at(parsed.validity().not_after.timestamp()),
            names,
            subject: parsed.subject().to_string(),
            issuer: parsed.issuer().to_string(),
        })
    }

    /// When half its life is over.
    pub(crate) fn half(&self) -> SystemTime {
        self.not_after - self.not_after.duration_since(self.not_before).unwrap_or_default() / 2
    }
}

/// True if less than `left / of` of its life remains.
fn due(facts: &Facts, now: SystemTime, left: u32, of: u32) -> bool {
    let life = facts.not_after.duration_since(facts.not_before).unwrap_or_default();
    facts.not_after.duration_since(now).unwrap_or_default() < life / of * left
}

fn unexpired(bundle: &str, now: SystemTime) -> Result<String, Error> {
    const END: &str = "-----END CERTIFICATE-----";
    let mut kept = String::new();
    for certificate in bundle.split_inclusive(END).map(str::trim).filter(|part| part.ends_with(END)) {
        if Facts::read(certificate)?.not_after > now {
            kept.push_str(certificate);
            kept.push('\n');
        }
    }
    Ok(kept)
}

fn authority(now: SystemTime) -> Result<Pair, Error> {
    let failed = |error: rcgen::Error| Error::Certificates(error.to_string());
    let key = KeyPair::generate().map_err(failed)?;
    let mut params = CertificateParams::default();
    let born = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    params.distinguished_name =
        common_name(&format!("greenroom-ca-{born}-{}", uuid::Uuid::new_v4().simple()));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, now, AUTHORITY_LIFE);
    let certificate = params.self_signed(&key).map_err(failed)?;
    // One line end only, so that bundles can be compared as text.
    let certificate = format!("{}\n", certificate.pem().replace('\r', "").trim_end());
    Ok(Pair { certificate, key: key.serialize_pem() })
}

fn set_validity(params: &mut CertificateParams, now: SystemTime, life: Duration) {
    let since_1970 = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let start = date_time_ymd(1970, 1, 1) + since_1970.saturating_sub(BACKDATED);
    (params.not_before, params.not_after) = (start, start + BACKDATED + life);
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    // At most 64 characters fit; the identity is in the alternative names.
    distinguished.push(DnType::CommonName, name.chars().take(64).collect::<String>());
    distinguished
}

#[cfg(test)]
mod tests {
    use greenroom_tls::{Pem, Tls};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn names() -> Vec<String> {
        vec!["node.demo.x.greenroom.internal".into(), "*.demo-mesh.x.svc".into(), "localhost".into()]
    }

    #[test]
    fn a_certificate_is_renewed_at_half_its_life_or_when_something_about_it_changes() {
        let now = SystemTime::now();
        let authority = Authority::new(now).unwrap();
        let leaf = authority.issue(&names(), now).unwrap().certificate;
        let renewal = |bundle: &str, names: &[String], at| authority.renewal(&leaf, bundle, names, at);
        assert_eq!(renewal(&authority.bundle, &names(), now + 14 * DAY), None);
        assert_eq!(renewal(&authority.bundle, &names(), now + 16 * DAY), Some("half its life is over"));
        assert_eq!(renewal("", &names(), now), Some("other authorities are trusted by now"));
        assert_eq!(
            renewal(&authority.bundle, &names()[..1], now),
            Some("its names are not what they should be")
        );
        let other = Authority::new(now).unwrap();
        assert_eq!(
            other.renewal(&leaf, &other.bundle, &names(), now),
            Some("another authority signs by now")
        );
    }

    #[test]
    fn what_is_issued_is_accepted_by_who_has_the_bundle() {
        let now = SystemTime::now();
        let authority = Authority::new(now).unwrap();
        let pair = authority.issue(&names(), now).unwrap();
        let pem = Pem {
            certificate: pair.certificate.into_bytes(),
            key: pair.key.into_bytes(),
            authorities: authority.bundle.into_bytes(),
        };
        assert_eq!(Tls::new(pem).unwrap().names().len(), 3);
    }

    #[test]
    fn at_no_moment_of_a_rotation_is_a_certificate_in_use_that_a_bundle_in_use_cannot_check() {
        let start = SystemTime::now();
        let mut authority = Authority::new(start).unwrap();
        let (mut signers, mut bundles) = (vec![authority.current.clone()], Vec::new());
        let two_thirds = AUTHORITY_LIFE * 2 / 3;
        for hours in 0..72 {
            let now = start + two_thirds - 12 * HOUR + hours * HOUR;
            if let Some(renewed) = authority.renewed(now).unwrap() {
                authority = renewed;
            }
            bundles.push(authority.bundle.clone());
            if signers.last() != Some(&authority.current) {
                signers.push(authority.current.clone());
                // Every bundle that may still be in use somewhere has it.
                let since = bundles.len() - 23;
                assert!(
                    bundles[since..].iter().all(|bundle| bundle.contains(&authority.current.certificate))
                );
            }
            // And what the former one issued is still trusted.
            assert!(signers.iter().all(|signer| authority.bundle.contains(&signer.certificate)));
        }
        assert_eq!(signers.len(), 2, "it was rotated once");
        assert_eq!(authority.renewed(start + two_thirds + 60 * HOUR).unwrap(), None);
        let much_later = authority.renewed(start + AUTHORITY_LIFE + DAY).unwrap().unwrap();
        assert!(!much_later.bundle.contains(&signers[0].certificate), "what has run out is dropped");
    }
}
