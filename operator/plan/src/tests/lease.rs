//! The election, over a network that delays, loses and reorders, with contenders that are frozen and clocks that run at
//! different rates.

use std::time::Duration;

use fastrand::Rng;

use crate::lease::{DURATION, Decision, Election, Moment, RENEW, RETRY, Record, Write};

fn record(holder: &str, version: u32) -> Record {
    Record {
        holder: (!holder.is_empty()).then(|| holder.to_owned()),
        duration: Some(DURATION),
        transitions: 7,
        version: version.to_string(),
    }
}

const fn s(seconds: u64) -> Moment {
    Duration::from_secs(seconds)
}

#[track_caller]
fn acquires(decision: Decision) -> Write {
    let Decision::Acquire(write) = decision else { panic!("{decision:?}") };
    write
}

/// One that took the Lease with a write sent at second 100.
fn leader() -> Election {
    let mut election = Election::new("me");
    election.observe(None, s(100));
    let write = acquires(election.evaluate(s(100)));
    election.written(&write, "1".into(), s(100), s(101));
    election
}

#[test]
fn the_first_lease_is_made_at_once_and_a_vanished_one_is_not() {
    let mut election = Election::new("me");
    assert_eq!(election.evaluate(s(1)), Decision::Wait(s(1)));
    election.observe(None, s(1));
    assert_eq!(acquires(election.evaluate(s(1))).replaces, None);

    election.observe(Some(record("other", 1)), s(2));
    election.observe(None, s(3));
    assert_eq!(election.evaluate(s(3)), Decision::Wait(s(18)));
    acquires(election.evaluate(s(18)));
}

#[test]
fn another_s_lease_is_taken_when_it_was_seen_unchanged_for_its_whole_duration() {
    let mut election = Election::new("me");
    election.observe(Some(record("other", 1)), s(10));
    election.observe(Some(record("other", 1)), s(20));
    assert_eq!(election.evaluate(s(24)), Decision::Wait(s(25)));
    election.observe(Some(record("other", 2)), s(24));
    assert_eq!(election.evaluate(s(25)), Decision::Wait(s(39)));
    let write = acquires(election.evaluate(s(39)));
    assert_eq!(write, Write { holder: Some("me".into()), transitions: 8, replaces: Some("2".into()) });
}

#[test]
fn a_belief_begins_when_the_write_was_sent_and_ends_before_others_may_begin() {
    let election = leader();
    assert_eq!(election.leads_until(), Some(s(110)));
    assert!(election.leads(s(109)) && !election.leads(s(110)));
    assert_eq!(election.evaluate(s(104)), Decision::Wait(s(105)));
    assert!(
        matches!(election.evaluate(s(105)), Decision::Renew(write) if write.replaces.as_deref() == Some("1"))
    );
    assert_eq!(election.evaluate(s(110)), Decision::Lost);
    assert!(RENEW < DURATION);
}

#[test]
fn whoever_sees_another_holder_or_no_lease_has_lost() {
    for seen in [Some(record("other", 9)), Some(record("me", 9)), None] {
        let mut election = leader();
        // Even its own name, if the number is another: then it was another run.
        election.observe(seen, s(102));
        assert_eq!(election.evaluate(s(102)), Decision::Lost);
        assert_eq!(election.resign(), None);
        assert!(!election.leads(s(102)));
    }
}

#[test]
fn a_released_lease_is_taken_at_once() {
    let mut old = leader();
    let write = old.resign().unwrap();
    assert!(!old.leads(s(102)));
    assert_eq!((write.holder, write.replaces.as_deref()), (None, Some("1")));
    let mut new = Election::new("other");
    new.observe(Some(record("me", 1)), s(50));
    new.observe(Some(record("", 2)), s(51));
    assert_eq!(acquires(new.evaluate(s(51))).transitions, 8);
}

#[test]
fn a_token_tells_beliefs_apart() {
    let token = leader().token().unwrap();
    let now = |holder: &str, transitions| Record { transitions, ..record(holder, 3) };
    assert!(token.holds_in(&now("me", token.transitions)));
    assert!(!token.holds_in(&now("other", token.transitions)));
    assert!(!token.holds_in(&now("me", token.transitions + 1)));
}

/// The Lease at the API server.
#[derive(Default)]
struct Server {
    record: Option<Record>,
    versions: u32,
}

impl Server {
    /// The version that the write made, if the one that it replaces was there.
    fn write(&mut self, write: &Write) -> Option<String> {
        if write.replaces.as_ref() != self.record.as_ref().map(|record| &record.version) {
            return None;
        }
        self.versions += 1;
        let version = self.versions.to_string();
        self.record = Some(Record {
            holder: write.holder.clone(),
            duration: Some(DURATION),
            transitions: write.transitions,
            version: version.clone(),
        });
        Some(version)
    }
}

/// What is on its way to or from the server; all times are true ones, in milliseconds.
struct Request {
    write: Option<Write>,
    sent: Moment,
    arrives: u64,
    /// When the answer comes; `None` if it is lost.
    answered: Option<u64>,
    answer: Option<Answer>,
}

enum Answer {
    Read(Option<Record>),
    Written(Option<String>),
}

struct Contender {
    election: Election,
    /// How fast its clock runs, in thousandths, and what it shows at the beginning.
    rate: u64,
    offset: u64,
    request: Option<Request>,
    /// Requests that it no longer waits for, and that may still arrive.
    abandoned: Vec<Request>,
    gives_up: u64,
    acts: u64,
    frozen_until: u64,
}

impl Contender {
    fn clock(&self, now: u64) -> Moment {
        Duration::from_millis(self.offset + now * self.rate / 1000)
    }

    fn send(&mut self, write: Option<Write>, now: u64, rng: &mut Rng) {
        let slow = if rng.u8(..8) == 0 { 9_000 } else { 300 };
        let arrives = now + rng.u64(0..slow);
        let answered = (rng.u8(..8) > 0).then(|| arrives + rng.u64(0..slow));
        self.request = Some(Request { write, sent: self.clock(now), arrives, answered, answer: None });
        self.gives_up = now + 5_000;
    }

    /// What has reached the server by now.
    fn arrive(&mut self, now: u64, server: &mut Server) {
        for request in self.request.iter_mut().chain(&mut self.abandoned) {
            if request.answer.is_none() && request.arrives <= now {
                request.answer = Some(match &request.write {
                    Some(write) => Answer::Written(server.write(write)),
                    None => Answer::Read(server.record.clone()),
                });
            }
        }
    }

    /// As the controller's loop: read, then write what is to be written; one request at a time.
    fn act(&mut self, now: u64, rng: &mut Rng) {
        if now < self.frozen_until {
            return;
        }
        let clock = self.clock(now);
        if let Some(request) = self.request.take() {
            let came = request.answered.is_some_and(|at| at <= now) && request.answer.is_some();
            match (&request.answer, &request.write) {
                (Some(Answer::Read(record)), _) if came => {
                    self.election.observe(record.clone(), clock);
                    match self.election.evaluate(clock) {
                        Decision::Acquire(write) | Decision::Renew(write) => {
                            return self.send(Some(write), now, rng);
                        }
                        Decision::Lost => drop(self.election.resign()),
                        Decision::Wait(_) => {}
                    }
                }
                (Some(Answer::Written(Some(version))), Some(write)) if came => {
                    self.election.written(write, version.clone(), request.sent, clock);
                }
                _ if came => {}
                _ if now >= self.gives_up => self.abandoned.push(request),
                _ => return self.request = Some(request),
            }
            self.acts = now + u64::try_from(RETRY.as_millis()).unwrap() / 2 + rng.u64(0..1_000);
        } else if now >= self.acts {
            self.send(None, now, rng);
        }
        if self.election.evaluate(clock) == Decision::Lost {
            let release = self.election.resign();
            if let Some(write) = release.filter(|_| rng.bool() && self.request.is_none()) {
                self.send(Some(write), now, rng);
            }
        }
    }
}

/// Runs one history of ten minutes; returns who led in which tenth of a second.
fn history(seed: u64) -> Vec<Option<usize>> {
    let mut rng = Rng::with_seed(seed);
    let mut server = Server::default();
    let mut contenders: Vec<_> = (0..3)
        .map(|number| Contender {
            election: Election::new(format!("contender-{number}")),
            rate: rng.u64(900..=1_100),
            offset: rng.u64(0..1_000_000),
            request: None,
            abandoned: Vec::new(),
            gives_up: 0,
            acts: rng.u64(0..2_000),
            frozen_until: 0,
        })
        .collect();
    let mut led = Vec::new();
    for now in (0..600_000).step_by(100) {
        // The last two minutes are undisturbed, for a leader to emerge.
        if rng.u32(..900) == 0 && now < 480_000 {
            let frozen = rng.usize(..contenders.len());
            contenders[frozen].frozen_until = now + rng.u64(1_000..60_000);
        }
        for contender in &mut contenders {
            contender.arrive(now, &mut server);
            contender.act(now, &mut rng);
        }
        // A frozen one counts, too: it does whatever it was about to do when it wakes.
        let leaders: Vec<_> = (0..contenders.len())
            .filter(|at| contenders[*at].election.leads(contenders[*at].clock(now)))
            .collect();
        assert!(leaders.len() <= 1, "seed {seed}, at {now} ms: {leaders:?} all believe that they lead");
        led.push(leaders.first().copied());
    }
    led
}

#[test]
fn at_most_one_believes_that_it_leads() {
    let histories: Vec<_> = (0..300).map(history).collect();
    let changes = |led: &Vec<Option<usize>>| {
        let leaders: Vec<_> = led.iter().flatten().collect();
        leaders.windows(2).filter(|pair| pair[0] != pair[1]).count()
    };
    assert!(
        histories.iter().map(changes).sum::<usize>() > 300,
        "the histories are too quiet to show anything"
    );
    let led = histories.iter().flatten().filter(|leader| leader.is_some()).count();
    assert!(led * 2 > histories.iter().map(Vec::len).sum::<usize>(), "most of the time nobody leads");
}

/// With answers in time, a leader that vanishes is followed within the duration of the Lease and two attempts.
#[test]
fn a_vanished_leader_is_followed_in_time() {
    let mut server = Server::default();
    let mut first = Election::new("first");
    first.observe(None, s(0));
    let write = acquires(first.evaluate(s(0)));
    let version = server.write(&write).unwrap();
    first.written(&write, version, s(0), s(0));

    let mut second = Election::new("second");
    let mut now = s(1);
    loop {
        second.observe(server.record.clone(), now);
        if let Decision::Acquire(write) = second.evaluate(now) {
            assert!(server.write(&write).is_some());
            break;
        }
        now += RETRY;
    }
    assert!(!first.leads(now) && now <= DURATION + 2 * RETRY, "{now:?}");
}
