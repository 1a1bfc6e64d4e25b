//! Whatever turns and consumers do, in any order: nothing is lost, nothing comes twice, and the bound holds.

use std::sync::Arc;

use proptest::prelude::*;

use super::{Buffer, End, Room, SharedItem};
use crate::codec::ContentType;
use crate::identity::CallId;
use crate::streams::WhenFull;

#[derive(Debug, Clone)]
enum Step {
    Push,
    /// A pull of so many; its reply is lost or not.
    Pull(usize, bool),
    Finish,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => Just(Step::Push),
        3 => (1..6usize, any::<bool>()).prop_map(|(most, lost)| Step::Pull(most, lost)),
        1 => Just(Step::Finish),
    ];
    prop::collection::vec(step, 0..80)
}

fn when_full() -> impl Strategy<Value = WhenFull> {
    prop_oneof![Just(WhenFull::End), Just(WhenFull::DropOldest), Just(WhenFull::Wait)]
}

fn item(number: u64) -> SharedItem {
    Arc::new(number)
}

fn number(item: &SharedItem) -> u64 {
    item.encode(ContentType::Msgpack).unwrap().decode("a number").unwrap()
}

proptest! {
    #[test]
    fn a_consumer_gets_each_item_once_in_order_whatever_is_lost(
        steps in steps(),
        backlog in 0..10u64,
        when_full in when_full(),
    ) {
        const CAPACITY: usize = 4;
        let turn = CallId(1);
        let mut buffer = Buffer::new((0..backlog).map(item).collect(), CAPACITY, when_full);
        let (mut pushed, mut got, mut position, mut missed) = (backlog, Vec::new(), 0, 0);
        let mut over = false;
        for step in steps {
            match step {
                Step::Push => {
                    let may = when_full != WhenFull::Wait || buffer.promise(turn) == Room::Promised;
                    if may && !buffer.is_ended() {
                        buffer.push(item(pushed));
                        pushed += u64::from(!matches!(buffer.end, Some(End::TooSlow(_))));
                    }
                    if may && when_full == WhenFull::Wait {
                        buffer.release(turn);
                    }
                }
                Step::Pull(most, lost) => {
                    buffer.acknowledge(position);
                    let Some((items, end)) = buffer.look(most) else { continue };
                    prop_assert!(items.len() <= most);
                    if lost {
                        continue;
                    }
                    for (at, item) in &items {
                        missed += at - position;
                        position = at + 1;
                        prop_assert_eq!(number(item), *at, "a position stands for one item");
                        got.push(*at);
                    }
                    over |= end.is_some();
                }
                Step::Finish => buffer.finish(End::Done),
            }
            prop_assert!(buffer.waiting() <= CAPACITY);
        }
        // What is left comes at the end.
        buffer.finish(End::Done);
        buffer.acknowledge(position);
        let (items, end) = buffer.look(usize::MAX).expect("at least the end");
        prop_assert!(end.is_some());
        prop_assert!(!over || items.is_empty(), "items after the end");
        for (at, _) in items {
            missed += at - position;
            position = at + 1;
            got.push(at);
        }
        prop_assert!(got.is_sorted_by(|a, b| a < b));
        prop_assert_eq!(got.len() as u64 + missed, pushed);
        prop_assert!(missed == 0 || when_full == WhenFull::DropOldest);
    }
}

#[test]
fn a_stream_that_is_gone_says_so_unless_all_of_it_was_taken() {
    let mut buffer = Buffer::new(vec![item(0)], 4, WhenFull::End);
    buffer.finish(End::Done);
    buffer.finish(End::Gone("moved".into()));
    assert!(matches!(buffer.look(9), Some((items, Some(End::Gone(_)))) if items.is_empty()));

    let mut buffer = Buffer::new(vec![item(0)], 4, WhenFull::End);
    buffer.finish(End::Done);
    buffer.acknowledge(1);
    buffer.finish(End::Gone("moved".into()));
    assert!(matches!(buffer.look(9), Some((_, Some(End::Done)))));
}

#[test]
fn promised_room_counts_until_it_is_released_and_no_turn_waits_for_itself() {
    let mut buffer = Buffer::new(Vec::new(), 2, WhenFull::Wait);
    let (one, other) = (CallId(1), CallId(2));
    assert_eq!(buffer.promise(one), Room::Promised);
    assert_eq!(buffer.promise(other), Room::Promised);
    assert_eq!(buffer.promise(one), Room::NotYet);
    buffer.release(other);
    assert_eq!(buffer.promise(one), Room::Promised);
    assert_eq!(buffer.promise(one), Room::OwnTurn);
    buffer.finish(End::Done);
    assert_eq!(buffer.promise(other), Room::Ended);
}

#[test]
fn what_a_stream_was_opened_with_is_not_dropped_for_what_is_pushed() {
    let mut buffer = Buffer::new(vec![item(0), item(1)], 1, WhenFull::DropOldest);
    buffer.push(item(2));
    buffer.push(item(3));
    let (items, _) = buffer.look(9).expect("three items wait");
    assert_eq!(items.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 1, 3]);
}
