//! The link protocol: numbering, retiring, limits; and that no envelope, however wrong, makes it panic.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

type Link = LinkState<u32, u32>;

const LIMITS: MeshLimits = MeshLimits {
    max_frame_bytes: 8 << 20,
    max_message_bytes: 10_000,
    max_in_flight_per_link: 3,
    max_waiting_bytes: 25_000,
    handshake_timeout: Duration::from_secs(1),
    keep_alive: Duration::from_secs(1),
};

fn link() -> Link {
    Link::new(LIMITS)
}

fn call(bytes: usize) -> v1::Request {
    v1::Request { method: "m".repeat(bytes), ..Default::default() }
}

fn ask(link: &mut Link, waiter: u32) -> Result<u64, NotTaken> {
    link.request((1, 1), call(1), Instant::now(), waiter)
}

fn envelopes(link: &mut Link) -> Vec<v1::Envelope> {
    match link.batch(Instant::now()) {
        Batch::Frame(frame, _) => frame.envelopes,
        other => panic!("no frame but {other:?}"),
    }
}

fn incoming(sequence: u64, request: u64, body: Body) -> v1::Envelope {
    v1::Envelope { sequence, request, body: Some(body), ..Default::default() }
}

fn answer() -> v1::Response {
    convert::invalid("no".into())
}

#[test]
fn what_waits_leaves_in_one_frame_numbered_in_order() {
    let mut link = link();
    let ids: Vec<_> = (0..3).map(|waiter| ask(&mut link, waiter).unwrap()).collect();
    let frame = envelopes(&mut link);
    assert_eq!(frame.iter().map(|e| e.request).collect::<Vec<_>>(), ids);
    assert_eq!(frame.iter().map(|e| e.sequence).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(link.batch(Instant::now()), Batch::Empty);
    assert!(!link.has_work());
}

#[test]
fn a_frame_ends_before_it_is_too_large() {
    let mut link =
        Link::new(MeshLimits { max_message_bytes: 4 << 20, max_waiting_bytes: 64 << 20, ..LIMITS });
    for waiter in 0..3 {
        link.request((1, 1), call(100 << 10), Instant::now(), waiter).unwrap();
    }
    assert_eq!(envelopes(&mut link).len(), 2);
    assert_eq!(envelopes(&mut link).len(), 1);
}

#[test]
fn the_deadline_that_travels_is_what_is_left_when_the_call_is_written() {
    let mut link = link();
    let now = Instant::now();
    link.request((1, 1), call(1), now + Duration::from_millis(500), 0).unwrap();
    let Batch::Frame(frame, _) = link.batch(now + Duration::from_millis(200)) else { panic!("no frame") };
    let Some(Body::Call(request)) = &frame.envelopes[0].body else { panic!("no call") };
    assert_eq!(request.deadline_ms, 300);
}

#[test]
fn an_answer_goes_to_who_asked_and_one_that_crossed_a_cancel_to_nobody() {
    let mut link = link();
    let (first, second) = (ask(&mut link, 10).unwrap(), ask(&mut link, 20).unwrap());
    envelopes(&mut link);
    link.cancel(first);
    assert!(matches!(envelopes(&mut link)[0].body, Some(Body::Cancel(_))));
    let crossed = link.receive(incoming(1, first, Body::Response(answer()))).unwrap();
    assert!(matches!(crossed, Received::Nothing));
    let answered = link.receive(incoming(2, second, Body::Response(answer()))).unwrap();
    assert!(matches!(answered, Received::Answer { waiter: 20, .. }));
}

#[test]
fn a_call_that_is_cancelled_before_it_is_written_never_leaves() {
    let mut link = link();
    let first = ask(&mut link, 10).unwrap();
    let second = ask(&mut link, 20).unwrap();
    link.cancel(first);
    let frame = envelopes(&mut link);
    assert_eq!(frame.iter().map(|e| (e.sequence, e.request)).collect::<Vec<_>>(), [(1, second)]);
}

#[test]
fn a_cancel_stops_the_task_and_its_late_reply_is_dropped() {
    let mut link = link();
    link.receive(incoming(1, 7, Body::Call(call(1)))).unwrap();
    assert_eq!(link.working(7, 70), None);
    let stopped = link.receive(incoming(2, 7, Body::Cancel(v1::Cancel {}))).unwrap();
    assert!(matches!(stopped, Received::Stop(70)));
    link.reply(7, answer());
    assert!(!link.has_work());
}

#[test]
fn limits_are_errors_of_one_call() {
    let mut link = link();
    let large = link.request((1, 1), call(10_001), Instant::now(), 0);
    assert!(matches!(large, Err(NotTaken::TooLarge { bytes }) if bytes > 10_000));
    for waiter in 0..3 {
        ask(&mut link, waiter).unwrap();
    }
    assert_eq!(ask(&mut link, 3), Err(NotTaken::Overloaded));
    assert_eq!(envelopes(&mut link).len(), 3);
}

#[test]
fn no_more_than_the_limit_of_bytes_waits() {
    let mut link = link();
    for waiter in 0..2 {
        link.request((1, 1), call(9_000), Instant::now(), waiter).unwrap();
    }
    assert_eq!(link.request((1, 1), call(9_000), Instant::now(), 2), Err(NotTaken::Overloaded));
}

#[test]
fn requests_above_the_limit_are_refused_by_reply_and_a_flood_ends_the_link() {
    let mut link = link();
    for n in 1..=3 {
        assert!(matches!(link.receive(incoming(n, n, Body::Call(call(1)))), Ok(Received::Serve { .. })));
    }
    let mut refused = (4..).map_while(|n| link.receive(incoming(n, n, Body::Call(call(1)))).ok());
    assert_eq!(refused.by_ref().filter(|received| matches!(received, Received::Overloaded)).count(), 12);
    assert_eq!(link.receive(incoming(17, 17, Body::Call(call(1)))).unwrap_err(), Violation::Flood(12));
}

#[test]
fn a_reply_that_is_too_large_becomes_an_error_that_says_so() {
    let mut link = link();
    link.receive(incoming(1, 7, Body::Call(call(1)))).unwrap();
    link.reply(7, convert::invalid("x".repeat(10_001)));
    let frame = envelopes(&mut link);
    let Some(Body::Response(response)) = frame[0].body.clone() else { panic!("no response") };
    let error = format!("{:?}", convert::reply_from_wire(response).unwrap());
    assert!(error.contains("10000 is the limit"), "{error}");
}

#[test]
fn what_the_protocol_does_not_allow_is_named() {
    let chunk = Body::Chunk(v1::Chunk::default());
    for (envelope, expected) in [
        (incoming(2, 1, Body::Call(call(1))), Violation::Sequence { expected: 1, got: 2 }),
        (incoming(1, 9, Body::Response(answer())), Violation::Unasked(9)),
        (incoming(1, 1, chunk), Violation::Body { sequence: 1, what: "a chunk" }),
        (
            v1::Envelope { sequence: 1, ..Default::default() },
            Violation::Body { sequence: 1, what: "nothing" },
        ),
    ] {
        assert_eq!(link().receive(envelope).unwrap_err(), expected);
    }
    let mut link = link();
    link.receive(incoming(1, 5, Body::Call(call(1)))).unwrap();
    assert_eq!(link.receive(incoming(2, 5, Body::Call(call(1)))).unwrap_err(), Violation::Repeated(5));
}

#[test]
fn a_link_that_ends_tells_the_unsent_from_the_lost() {
    let mut link = link();
    ask(&mut link, 1).unwrap();
    envelopes(&mut link);
    ask(&mut link, 2).unwrap();
    link.receive(incoming(1, 7, Body::Call(call(1)))).unwrap();
    link.working(7, 70);
    let remains = link.close();
    assert_eq!((remains.unsent, remains.lost, remains.tasks), (vec![2], vec![1], vec![70]));
    assert_eq!(link.batch(Instant::now()), Batch::Closed);
    assert_eq!(ask(&mut link, 3), Err(NotTaken::Retired));
}

#[test]
fn a_retired_link_says_farewell_once_everything_is_answered() {
    let mut link = link();
    let asked = ask(&mut link, 1).unwrap();
    envelopes(&mut link);
    link.receive(incoming(1, 7, Body::Call(call(1)))).unwrap();
    link.retire();
    assert_eq!(ask(&mut link, 2), Err(NotTaken::Retired));
    assert_eq!(link.batch(Instant::now()), Batch::Empty);
    link.receive(incoming(2, asked, Body::Response(answer()))).unwrap();
    assert_eq!(link.batch(Instant::now()), Batch::Empty);
    link.reply(7, answer());
    assert_eq!(envelopes(&mut link).len(), 1);
    assert_eq!(link.batch(Instant::now()), Batch::Farewell);
    // A request that crossed the farewell is not taken: its caller will ask elsewhere.
    assert!(matches!(link.receive(incoming(3, 8, Body::Call(call(1)))), Ok(Received::Nothing)));
}

#[test]
fn requests_that_crossed_a_farewell_are_given_back() {
    let mut link = link();
    ask(&mut link, 1).unwrap();
    envelopes(&mut link);
    ask(&mut link, 2).unwrap();
    let mut back = link.farewell();
    back.sort_unstable();
    assert_eq!(back, [1, 2]);
}

#[derive(Debug, Clone)]
enum Event {
    Ask(usize),
    Cancel(u64),
    Receive { skip: bool, request: u64, body: u8 },
    Reply(u64, usize),
    Working(u64),
    Batch,
    Retire,
    Farewell,
    Close,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => (0..12_000_usize).prop_map(Event::Ask),
        4 => (0..20_u64).prop_map(Event::Cancel),
        16 => (prop::bool::weighted(0.02), 0..20_u64, 0..8_u8)
            .prop_map(|(skip, request, body)| Event::Receive { skip, request, body }),
        8 => (0..20_u64, 0..12_000_usize).prop_map(|(id, bytes)| Event::Reply(id, bytes)),
        4 => (0..20_u64).prop_map(Event::Working),
        8 => Just(Event::Batch),
        1 => Just(Event::Retire),
        1 => Just(Event::Farewell),
        1 => Just(Event::Close),
    ]
}

fn body(kind: u8) -> Option<Body> {
    match kind {
        0..=2 => Some(Body::Call(call(1))),
        3 | 4 => Some(Body::Response(answer())),
        5 => Some(Body::Cancel(v1::Cancel {})),
        6 => Some(Body::Probe(v1::Probe::default())),
        _ => None,
    }
}

/// How every waiter of a history was let go. Each must be, exactly once.
#[derive(Default)]
struct History {
    asked: u32,
    let_go: Vec<u32>,
    waiters: HashMap<u64, u32>,
    sequence: u64,
    written: u64,
}

impl History {
    fn step(&mut self, link: &mut Link, event: Event) -> Result<(), Violation> {
        match event {
            Event::Ask(bytes) => {
                if let Ok(id) = link.request((1, 1), call(bytes), Instant::now(), self.asked) {
                    self.waiters.insert(id, self.asked);
                    self.asked += 1;
                }
            }
            Event::Cancel(id) => {
                link.cancel(id);
                self.let_go.extend(self.waiters.remove(&id));
            }
            Event::Receive { skip, request, body: kind } => {
                self.sequence += 1 + u64::from(skip);
                let envelope =
                    v1::Envelope { sequence: self.sequence, request, body: body(kind), ..Default::default() };
                if let Received::Answer { waiter, .. } = link.receive(envelope)? {
                    self.waiters.remove(&request);
                    self.let_go.push(waiter);
                }
            }
            Event::Reply(id, bytes) => link.reply(id, convert::invalid("x".repeat(bytes))),
            Event::Working(id) => drop(link.working(id, 0)),
            Event::Batch => {
                if let Batch::Frame(frame, bytes) = link.batch(Instant::now()) {
                    assert!(!frame.envelopes.is_empty() && frame.envelopes.len() <= BATCH_ENVELOPES);
                    assert!(frame.encoded_len() <= bytes && bytes <= BATCH_BYTES + LIMITS.max_message_bytes);
                    for envelope in frame.envelopes {
                        self.written += 1;
                        assert_eq!(envelope.sequence, self.written);
                    }
                }
            }
            Event::Retire => link.retire(),
            Event::Farewell => self.give_up(link.farewell()),
            Event::Close => {
                let remains = link.close();
                self.give_up(remains.unsent);
                self.give_up(remains.lost);
            }
        }
        Ok(())
    }

    fn give_up(&mut self, waiters: Vec<u32>) {
        self.waiters.retain(|_, waiter| !waiters.contains(waiter));
        self.let_go.extend(waiters);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn whatever_happens_nothing_panics_and_every_waiter_is_let_go_once(
        events in proptest::collection::vec(event(), 0..200),
    ) {
        let (mut link, mut history) = (link(), History::default());
        // The first violation ends a link.
        let _ = events.into_iter().try_for_each(|event| history.step(&mut link, event));
        prop_assert!(history.step(&mut link, Event::Close).is_ok());
        history.let_go.sort_unstable();
        prop_assert_eq!(history.let_go, (0..history.asked).collect::<Vec<_>>());
    }

    #[test]
    fn any_bytes_that_decode_as_a_frame_are_taken_or_refused_by_name(bytes: Vec<u8>) {
        if let Ok(frame) = v1::Frame::decode(bytes.as_slice()) {
            let mut link = link();
            for envelope in frame.envelopes {
                if let Err(violation) = link.receive(envelope) {
                    prop_assert!(!violation.to_string().is_empty());
                }
            }
        }
    }
}
