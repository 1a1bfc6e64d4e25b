//! Who leads: the rules of the operator's own leader election, over a Lease object. No I/O, no clock.
//!
//! A leader **believes** until a moment that it may move on only by writing the Lease: `RENEW` after it *sent* the last
//! write that succeeded. Others take the Lease only when they have seen it unchanged for its whole `DURATION`, counted
//! from when they themselves *first saw* that version. They saw it after it was written, and it was written after the
//! leader had sent it; so between the end of the old belief and the begin of the next lies `DURATION - RENEW`, less
//! what the two clocks drift apart meanwhile. No two machines need to agree about the time: the times in the object
//! are for people.
//!
//! - Moments are read from a clock that goes on while the process or the machine sleeps. A leader that was frozen finds
//!   its belief run out before it does anything else.
//! - Every write carries the version of the Lease that it is based on, so of two contenders one succeeds. A write whose
//!   answer is lost gives nobody a belief; the next reading shows whether it was applied.
//! - Each new belief has a new number of `transitions`, even of the same holder: it may be another run of the process.
//! - Releasing ends the belief first; then the holder is written away, and the next one need not wait.
//! - Where no Lease was ever seen it is made at once. One that vanished may have a leader who does not know yet: then
//!   the `DURATION` is waited for, too.

use std::time::Duration;

/// How long a Lease lasts that is not renewed.
pub const DURATION: Duration = Duration::from_secs(15);
/// How long a leader believes after its last successful write.
pub const RENEW: Duration = Duration::from_secs(10);
/// How long to wait between two attempts to renew or to take the Lease; the caller adds some jitter.
pub const RETRY: Duration = Duration::from_secs(2);
/// How old the last write is when a leader renews it.
const RENEW_AFTER: Duration = Duration::from_secs(5);

/// A moment: the time since some fixed moment of this machine, on a clock that also goes on while it sleeps
/// (`CLOCK_BOOTTIME`).
pub type Moment = Duration;

/// A Lease as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// `spec.holderIdentity`; `None` if it is missing or empty.
    pub holder: Option<String>,
    /// `spec.leaseDurationSeconds`.
    pub duration: Option<Duration>,
    /// `spec.leaseTransitions`.
    pub transitions: i32,
    /// `metadata.resourceVersion`.
    pub version: String,
}

/// What to write: holder, transitions, and the version that it replaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The holder; `None` gives the Lease away.
    pub holder: Option<String>,
    /// The number of this belief.
    pub transitions: i32,
    /// The version that must still be there; `None`: there must be no Lease, create it.
    pub replaces: Option<String>,
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Write this to become the leader.
    Acquire(Write),
    /// Write this to stay it.
    Renew(Write),
    /// Nothing before this moment, unless the Lease changes.
    Wait(Moment),
    /// No longer the leader: stop everything that writes, then call [`Election::resign`].
    Lost,
}

/// Proof of having led: what the Lease must still say immediately before something is destroyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Who.
    pub holder: String,
    /// Which belief.
    pub transitions: i32,
}

impl Token {
    /// True if the Lease still says so.
    pub fn holds_in(&self, record: &Record) -> bool {
        record.holder.as_ref() == Some(&self.holder) && record.transitions == self.transitions
    }
}

/// What a contender knows.
#[derive(Debug, Clone)]
pub struct Election {
    me: String,
    seen: Option<Seen>,
    belief: Option<Belief>,
}

/// The newest state of the Lease, and since when it was seen.
#[derive(Debug, Clone)]
struct Seen {
    record: Option<Record>,
    since: Moment,
    ever: bool,
}

#[derive(Debug, Clone)]
struct Belief {
    transitions: i32,
    /// When the last successful write was sent.
    renewed: Moment,
}

impl Election {
    /// A contender. Its identity must differ from that of any other process, an earlier run of this one excepted.
    pub fn new(me: impl Into<String>) -> Self {
        Self { me: me.into(), seen: None, belief: None }
    }

    /// Takes in what a reading showed; `None`: there is no Lease. `now` is a moment after the answer came.
    pub fn observe(&mut self, record: Option<Record>, now: Moment) {
        let ever = record.is_some() || self.seen.as_ref().is_some_and(|seen| seen.ever);
        let unchanged = self.seen.as_ref().is_some_and(|seen| {
            seen.record.as_ref().map(|record| &record.version)
                == record.as_ref().map(|record| &record.version)
        });
        if !unchanged {
            self.seen = Some(Seen { record, since: now, ever });
        }
    }

    /// Takes in that a write of [`Decision::Acquire`] or [`Decision::Renew`] succeeded. `sent` is a moment before it
    /// was sent, and `version` the one that it made.
    pub fn written(&mut self, write: &Write, version: String, sent: Moment, now: Moment) {
        let record = Record {
            holder: write.holder.clone(),
            duration: Some(DURATION),
            transitions: write.transitions,
            version,
        };
        self.observe(Some(record), now);
        if write.holder.as_ref() == Some(&self.me) {
            self.belief = Some(Belief { transitions: write.transitions, renewed: sent });
        }
    }

    /// Until when this contender leads; `None` if it does not. To be compared with the clock immediately before every
    /// write that only a leader may send.
    pub fn leads_until(&self) -> Option<Moment> {
        self.belief.as_ref().map(|belief| belief.renewed + RENEW)
    }

    /// True if this contender leads at that moment.
    pub fn leads(&self, now: Moment) -> bool {
        self.leads_until().is_some_and(|until| now < until)
    }

    /// What to compare with the Lease before something is destroyed, while this contender leads.
    pub fn token(&self) -> Option<Token> {
        self.belief.as_ref().map(|it| Token { holder: self.me.clone(), transitions: it.transitions })
    }

    /// What to do now. Before the first [`observe`](Self::observe) it is to wait.
    pub fn evaluate(&self, now: Moment) -> Decision {
        let Some(seen) = &self.seen else { return Decision::Wait(now) };
        match (&self.belief, &seen.record) {
            (Some(belief), Some(record)) => self.as_leader(belief, record, now),
            (Some(_), None) => Decision::Lost,
            (None, record) => self.as_contender(seen, record.as_ref(), now),
        }
    }

    fn as_leader(&self, belief: &Belief, record: &Record, now: Moment) -> Decision {
        let mine = Token { holder: self.me.clone(), transitions: belief.transitions };
        if !mine.holds_in(record) || now >= belief.renewed + RENEW {
            return Decision::Lost;
        }
        let due = belief.renewed + RENEW_AFTER;
        if now < due {
            return Decision::Wait(due);
        }
        Decision::Renew(Write {
            holder: Some(self.me.clone()),
            transitions: belief.transitions,
            replaces: Some(record.version.clone()),
        })
    }

    fn as_contender(&self, seen: &Seen, record: Option<&Record>, now: Moment) -> Decision {
        let (free_at, transitions) = match record {
            None if seen.ever => (seen.since + DURATION, 0),
            None => (now, 0),
            Some(record) => {
                let mine = record.holder.as_ref() == Some(&self.me);
                let free = record.holder.is_none() || mine;
                let lasts = record.duration.unwrap_or(DURATION).max(DURATION);
                (if free { now } else { seen.since + lasts }, record.transitions.wrapping_add(1))
            }
        };
        if now < free_at {
            return Decision::Wait(free_at);
        }
        Decision::Acquire(Write {
            holder: Some(self.me.clone()),
            transitions,
            replaces: record.map(|record| record.version.clone()),
        })
    }

    /// Ends the belief, at once. If the Lease still names this contender, what to write so that the next one need not
    /// wait; it may be written when all work is done, and need not be.
    pub fn resign(&mut self) -> Option<Write> {
        let belief = self.belief.take()?;
        let record = self.seen.as_ref()?.record.as_ref()?;
        let mine = Token { holder: self.me.clone(), transitions: belief.transitions };
        mine.holds_in(record).then(|| Write {
            holder: None,
            transitions: belief.transitions,
            replaces: Some(record.version.clone()),
        })
    }
}
