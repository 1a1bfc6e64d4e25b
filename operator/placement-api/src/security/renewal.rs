//! When authority and certificate are renewed. Pure: what there is and the time in, the next step out.
//!
//! Everything lies in one Secret that the replicas share, and each step is one conditional write of it, so it does not
//! matter which replica takes a step. Invariant: at every moment whoever knows the published authorities accepts every
//! certificate in use. So an authority is exchanged in three steps, at least [`OVERLAP`] apart, in which each replica and
//! the API server have taken notice: publish the new one beside the old, sign with it, withdraw the old.

use std::time::{Duration, SystemTime};

/// How long an authority is good for.
pub const AUTHORITY_LIFETIME: Duration = Duration::from_secs(365 * 86_400);
/// How long a certificate is good for.
pub const CERTIFICATE_LIFETIME: Duration = Duration::from_secs(30 * 86_400);
/// How long everybody has to notice a step.
pub const OVERLAP: Duration = Duration::from_secs(600);

/// From when to when something is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// Made at.
    pub start: SystemTime,
    /// Good until.
    pub end: SystemTime,
}

impl Validity {
    /// From now on, for so long.
    pub fn new(start: SystemTime, lifetime: Duration) -> Self {
        Self { start, end: start + lifetime }
    }

    fn age(&self, now: SystemTime) -> Duration {
        now.duration_since(self.start).unwrap_or_default()
    }

    /// What is left, as a part of the whole.
    fn left(&self, now: SystemTime) -> f64 {
        let whole = self.end.duration_since(self.start).unwrap_or_default();
        let left = self.end.duration_since(now).unwrap_or_default();
        if whole.is_zero() { 0.0 } else { left.as_secs_f64() / whole.as_secs_f64() }
    }
}

/// What lies in the Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The newest authority, whose key is at hand.
    pub authority: Validity,
    /// Whether older authorities are still published.
    pub older: bool,
    /// The certificate.
    pub certificate: Validity,
    /// Whether the newest authority signed it.
    pub signed_by_newest: bool,
    /// Whether it is for the names that are needed.
    pub names_fit: bool,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Make a new authority and publish it beside the old.
    AddAuthority,
    /// Sign a new certificate with the newest authority.
    Sign,
    /// Withdraw the older authorities.
    DropOlder,
}

/// The next step, if one is due.
pub fn next(facts: &Facts, now: SystemTime) -> Option<Step> {
    let known = facts.authority.age(now) >= OVERLAP || !facts.older;
    let unusable = facts.certificate.end <= now || !facts.names_fit;
    let due = facts.certificate.left(now) < 0.5 || !facts.signed_by_newest;
    if facts.authority.left(now) < 1.0 / 3.0 && !facts.older {
        Some(Step::AddAuthority)
    } else if unusable || (due && known) {
        Some(Step::Sign)
    } else if facts.older && facts.signed_by_newest && facts.certificate.age(now) >= OVERLAP {
        Some(Step::DropOlder)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The Secret as the steps make it, with authorities as numbers.
    #[derive(Clone)]
    struct Simulated {
        authorities: Vec<(u32, Validity)>,
        certificate: (u32, Validity),
    }

    impl Simulated {
        fn new(now: SystemTime) -> Self {
            let authorities = vec![(0, Validity::new(now, AUTHORITY_LIFETIME))];
            Self { authorities, certificate: (0, Validity::new(now, CERTIFICATE_LIFETIME)) }
        }

        fn facts(&self) -> Facts {
            Facts {
                authority: self.authorities[0].1,
                older: self.authorities.len() > 1,
                certificate: self.certificate.1,
                signed_by_newest: self.certificate.0 == self.authorities[0].0,
                names_fit: true,
            }
        }

        fn apply(&mut self, step: Step, now: SystemTime) {
            let newest = self.authorities[0].0;
            match step {
                Step::AddAuthority => {
                    self.authorities.insert(0, (newest + 1, Validity::new(now, AUTHORITY_LIFETIME)));
                }
                Step::Sign => self.certificate = (newest, Validity::new(now, CERTIFICATE_LIFETIME)),
                Step::DropOlder => self.authorities.truncate(1),
            }
        }
    }

    /// Five years, looked at each ten minutes. Whoever looks at the Secret late, by nearly the overlap, still accepts and
    /// is accepted.
    #[test]
    fn everybody_accepts_every_certificate_for_five_years() {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let mut state = Simulated::new(start);
        let mut before = state.clone();
        let mut steps = Vec::new();
        for tick in 0..(5 * 365 * 144) {
            let now = start + OVERLAP * tick;
            for (authorities, certificate) in [
                (&state.authorities, state.certificate),
                (&before.authorities, state.certificate),
                (&state.authorities, before.certificate),
            ] {
                let signer = authorities.iter().find(|(name, _)| *name == certificate.0);
                let signer = signer.expect("the certificate's authority is published");
                assert!(signer.1.end > now && certificate.1.end > now, "{tick}");
            }
            before = state.clone();
            if let Some(step) = next(&state.facts(), now) {
                state.apply(step, now);
                steps.push(step);
            }
        }
        let count = |wanted| steps.iter().filter(|step| **step == wanted).count();
        assert_eq!((count(Step::AddAuthority), count(Step::DropOlder)), (7, 7));
        assert!((100..150).contains(&count(Step::Sign)), "{}", count(Step::Sign));
    }

    #[test]
    fn what_nobody_would_accept_is_replaced_at_once() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let mut facts = Simulated::new(now).facts();
        assert_eq!(next(&facts, now), None);
        facts.names_fit = false;
        assert_eq!(next(&facts, now), Some(Step::Sign));
        let facts = Facts { older: true, signed_by_newest: false, names_fit: true, ..facts };
        assert_eq!(next(&facts, now), None, "the new authority is not known yet");
        assert_eq!(next(&facts, now + OVERLAP), Some(Step::Sign));
    }
}
