//! Topics: what each channel hands on, to whom, and in which order.
//!
//! The line of a channel is what its durable records say, as that of an actor is. A subscription stands from the record
//! that makes it to the record that ends it. A publication is in the commit of the turn that publishes; the channel then
//! takes it, once, and it is due once to each subscription that stands there and matches. Listeners apply what is due to
//! them and nothing else, and what comes through one channel in the order of that channel.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use greenroom_core::journal::Commit;
use greenroom_core::rows::{Space, split_actor_prefix};
use greenroom_core::{ActorId, CallId, MapKey, Payload};
use serde::{Deserialize, Serialize};

use super::audience::Activation;
use super::cast::Who;
use super::script::{PartId, Script};
use super::steps::By;
use super::witness::{State, Witness};

/// The type of the actors that keep subscriptions.
const CHANNEL: &str = "greenroom.Topic";

/// Everything about topics that is durable.
#[derive(Default)]
pub(crate) struct Channels {
    channels: BTreeMap<String, Channel>,
    /// What turns have published and no channel has taken yet.
    published: BTreeMap<CallId, Publication>,
    /// How much each actor has published.
    numbers: BTreeMap<Who, u64>,
    /// What channels have sent and listeners have not applied yet.
    due: BTreeMap<(Who, PartId), VecDeque<Place>>,
    /// The last place of each channel that a listener has applied.
    applied: BTreeMap<(Who, String), u64>,
    /// What channels have taken for those that listen while they are in memory: the topic, and how often.
    live: BTreeMap<PartId, (String, usize)>,
    /// What actors listen to while they are in memory.
    sessions: BTreeSet<(Who, String)>,
    /// How often each of them has applied what.
    pub(super) overheard: BTreeMap<(Who, PartId), usize>,
    /// Where its channel was when the turn of a call first set about a change.
    begun: BTreeMap<(CallId, Change), u64>,
}

/// A record of a channel, and the priority with which a subscription stands from there, if it does.
type Turned = (u64, Option<i32>);

/// The line of a channel.
#[derive(Default)]
struct Channel {
    /// How many records it has.
    records: u64,
    /// The subscriptions that stand, by the keys of their rows.
    standing: BTreeMap<Bytes, (String, Who, i32)>,
    /// The records that made or ended each subscription.
    turns: BTreeMap<(String, Who), Vec<Turned>>,
    /// The last publication of each actor that it has taken.
    taken: BTreeMap<Who, u64>,
}

/// A publication on its way to its channel.
struct Publication {
    from: Who,
    /// The place among those of its publisher.
    number: u64,
    topic: String,
    script: PartId,
    /// Who listened in memory when it was published, by each subscription.
    listeners: Vec<(Who, Activation)>,
}

/// The place of a publication in the line of its channel.
struct Place {
    channel: String,
    record: u64,
    /// The topic, if its publications go round by priority.
    rank: Option<String>,
}

/// The parts of a message in an outbox that are needed here.
#[derive(Deserialize)]
struct Message {
    target: ActorId,
    arguments: Payload,
    id: CallId,
}

/// What a channel is told to publish.
#[derive(Deserialize)]
struct Published {
    topic: String,
    message: Payload,
}

/// The part of a stored subscription that is needed here.
#[derive(Deserialize)]
struct Subscriber {
    actor: ActorId,
    priority: i32,
}

/// A subscription that a turn makes, or the end of one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Change {
    pub(crate) pattern: String,
    pub(crate) whom: Who,
    /// With which priority it then stands, if it does.
    pub(crate) stands: Option<i32>,
}

impl Witness {
    /// A turn of a durable actor is on its disk: what it publishes.
    pub(super) fn publishes(&self, state: &mut State, from: Who, commit: &Commit) {
        for row in commit.rows.iter().filter(|row| row.space == Space::OUTBOX) {
            let Some(message) = row.value.as_deref().and_then(|row| rmp_serde::from_slice(row).ok()) else {
                continue;
            };
            let Message { target, arguments, id } = message;
            if target.actor_type.as_str() != CHANNEL {
                continue;
            }
            let published = arguments.decode::<Published>("a publication");
            let script =
                published.as_ref().ok().and_then(|published| published.message.decode::<Script>("it").ok());
            let (Ok(Published { topic, .. }), Some(script)) = (published, script) else {
                return self.violate("states_can_be_read", format!("a publication of {from} cannot be read"));
            };
            let number = state.channels.numbers.entry(from).or_default();
            *number += 1;
            let number = *number;
            let listeners = self.listeners(state, &topic);
            let publication = Publication { from, number, topic, script: script.id, listeners };
            state.channels.published.insert(id, publication);
        }
    }

    /// A record of a channel is on its disk.
    pub(super) fn channel_commits(&self, commit: &Commit) {
        if commit.actor.actor_type.as_str() != CHANNEL {
            return;
        }
        let name = commit.actor.key.to_string();
        let mut state = self.state.lock();
        let all = &mut state.channels;
        let channel = all.channels.entry(name.clone()).or_default();
        channel.records += 1;
        if let Err(message) = channel.subscriptions(commit) {
            return self.violate("states_can_be_read", message);
        }
        if &*commit.call.method != "publish" {
            return;
        }
        let Some(publication) = all.published.remove(&commit.call.id) else {
            let message = format!("{} takes a publication that waits for it in no outbox", commit.actor);
            return self.violate("what_is_published_is_handed_on_once", message);
        };
        let Publication { from, number, topic, script, listeners } = publication;
        self.expects(script, listeners);
        if channel.taken.insert(from, number) >= Some(number) {
            let message = format!("{} takes №{script} of {from} behind a later one", commit.actor);
            self.violate("publications_come_in_order", message);
        }
        let record = channel.records;
        let exact = || channel.standing.values().filter(|(pattern, ..)| *pattern == topic);
        let rank = exact().any(|(.., priority)| *priority != 0).then(|| topic.clone());
        let members: Vec<_> = exact().map(|(_, who, priority)| (*priority, *who)).collect();
        for (pattern, listener, _) in
            channel.standing.values().filter(|(pattern, ..)| matches(pattern, &topic))
        {
            let rank = rank.clone().filter(|topic| topic == pattern);
            let place = Place { channel: name.clone(), record, rank };
            all.due.entry((*listener, script)).or_default().push_back(place);
        }
        if self.origins.get(script).is_some_and(|origin| origin.by == Some(By::Overheard)) {
            all.live.entry(script).or_insert((topic, 0)).1 += 1;
        }
        if rank.is_some() {
            self.goes_round(&mut state, (name, record), members, script);
        }
    }

    /// A listener begins to apply a publication.
    pub(super) fn is_heard(&self, state: &State, who: Who, script: &Script) {
        let due = state.channels.due.get(&(who, script.id));
        let is_consumed = state.ranks.is_consumed(who, script.id);
        match due.map(VecDeque::front) {
            // It may have been sent there before.
            Some(None) if !is_consumed => {}
            Some(Some(Place { channel, record, rank: Some(_) })) => {
                let outcome = self.is_its_turn(state, who, script, &(channel.clone(), *record));
                self.check("higher_priorities_come_first", outcome);
            }
            Some(Some(_)) => {}
            Some(None) => {
                let message = format!("№{} begins at {who}, and somebody has consumed it", script.id);
                self.violate("what_is_consumed_goes_no_further", message);
            }
            None => {
                let message = format!("№{} begins at {who}, and no channel has sent it there", script.id);
                self.violate("i3_a_message_leaves_after_its_turn", message);
            }
        }
    }

    /// A turn is about to listen for as long as its actor is in memory.
    pub(crate) fn overhears(&self, change: &Change) {
        self.state.lock().channels.sessions.insert((change.whom, change.pattern.clone()));
    }

    /// By how many subscriptions an actor may hear what a channel has taken for those that are in memory, each time.
    fn ways(&self, state: &State, who: Who, script: PartId) -> usize {
        let Channels { live, sessions, .. } = &state.channels;
        let Some((topic, times)) = live.get(&script) else { return 0 };
        times * sessions.iter().filter(|(whose, pattern)| *whose == who && matches(pattern, topic)).count()
    }

    /// One of these begins to apply a publication.
    pub(super) fn is_overheard(&self, state: &State, who: Who, script: &Script) {
        if self.ways(state, who, script.id) == 0 {
            let message =
                format!("№{} begins at {who}, which does not listen, or nothing is there", script.id);
            self.violate("i3_a_message_leaves_after_its_turn", message);
        }
    }

    /// One of these has applied a publication.
    pub(super) fn has_overheard(&self, state: &mut State, who: Who, script: PartId) {
        let most = self.ways(state, who, script);
        let times = state.channels.overheard.entry((who, script)).or_default();
        *times += 1;
        if *times > most {
            let message = format!("{who} has applied №{script} {times} times, which was sent {most} times");
            self.violate("what_was_sent_once_is_applied_once", message);
        }
    }

    /// A listener has applied a publication.
    pub(super) fn hears(&self, state: &mut State, who: Who, script: &Script) {
        let id = script.id;
        let Some(place) = state.channels.due.get_mut(&(who, id)).and_then(VecDeque::pop_front) else {
            let message = format!("{who} has applied №{id} more often than it was sent there");
            return self.violate("what_was_sent_once_is_applied_once", message);
        };
        let Place { channel, record, rank } = place;
        let is_ranked = rank.is_some();
        let place = (channel, record);
        for lower in if is_ranked { self.has_its_turn(state, who, script, &place) } else { Vec::new() } {
            if let Some(places) = state.channels.due.get_mut(&(lower, id)) {
                places.retain(|place| place.record != record);
            }
        }
        // What goes round has the order of its topic; who refuses at first gets it later.
        if is_ranked && !script.is_sure() {
            return;
        }
        let last = state.channels.applied.entry((who, rank.unwrap_or(place.0))).or_default();
        if record < *last {
            let message = format!("{who} applies №{id}, record {record} of its channel, behind {last}");
            self.violate("publications_come_in_order", message);
        }
        *last = record.max(*last);
    }

    /// The turn of this call is about to change a subscription.
    pub(crate) fn subscribes(&self, call: CallId, change: &Change) {
        let channels = &mut self.state.lock().channels;
        let records = channels.channels.get(change.channel()).map_or(0, |channel| channel.records);
        channels.begun.entry((call, change.clone())).or_insert(records);
    }

    /// It was told that this is done.
    pub(crate) fn has_subscribed(&self, call: CallId, change: &Change) {
        self.counts.lock().subscriptions += 1;
        let channels = &self.state.lock().channels;
        let since = channels.begun.get(&(call, change.clone())).copied().unwrap_or(0);
        let channel = channels.channels.get(change.channel());
        if !channel.map_or(change.stands.is_none(), |channel| channel.stood(change, since)) {
            let message = format!("a turn was told that this is done, and it is not durable: {change:?}");
            self.violate("a_subscription_stands_when_it_is_made", message);
        }
    }

    /// A publication that somebody has not got, if there is one.
    pub(super) fn unheard(&self, state: &State) -> Option<String> {
        let is_sure = |part: PartId| self.origins.script(part).is_some_and(Script::is_sure);
        let Channels { published, due, .. } = &state.channels;
        let waits = published.values().next().map(|publication| {
            let Publication { from, topic, script, .. } = publication;
            format!("№{script}, which {from} has published to {topic}, is not handed on")
        });
        waits.or_else(|| {
            let ((who, script), _) =
                due.iter().find(|((_, script), places)| !places.is_empty() && is_sure(*script))?;
            Some(format!("{who} has not applied №{script}, which was published to it"))
        })
    }
}

impl Channel {
    /// Takes over what a record says about subscriptions.
    fn subscriptions(&mut self, commit: &Commit) -> Result<(), String> {
        for row in commit.rows.iter().filter(|row| row.space == Space::ITEM) {
            let known = self.standing.remove(&row.key);
            let stands = row.value.as_ref().map(|value| subscription(&row.key, value));
            let what = match &stands {
                None => known,
                Some(stands) => stands.clone(),
            };
            let (pattern, who, priority) =
                what.ok_or_else(|| format!("a subscription of {} cannot be read", commit.actor))?;
            let turns = self.turns.entry((pattern.clone(), who)).or_default();
            turns.push((self.records, stands.is_some().then_some(priority)));
            if stands.is_some() {
                self.standing.insert(row.key.clone(), (pattern, who, priority));
            }
        }
        Ok(())
    }

    /// Whether at some record from `since` on it was so.
    fn stood(&self, change: &Change, since: u64) -> bool {
        let turns = self.turns.get(&(change.pattern.clone(), change.whom));
        let turns = turns.map_or(&[][..], Vec::as_slice);
        let before = turns.iter().rev().find(|(record, _)| *record <= since);
        before.map_or(change.stands.is_none(), |(_, stood)| *stood == change.stands)
            || turns.iter().any(|(record, stood)| *record > since && *stood == change.stands)
    }
}

/// Reads the row of a subscription: its key is the channel, the number of the map, the pattern and a name.
fn subscription(key: &[u8], value: &[u8]) -> Option<(String, Who, i32)> {
    let (_, rest) = split_actor_prefix(key)?;
    let (_, mut rest) = rest.split_at_checked(size_of::<u64>())?;
    let pattern = String::decode(&mut rest)?;
    let Subscriber { actor, priority } = rmp_serde::from_slice(value).ok()?;
    Some((pattern, Who::of(&actor)?, priority))
}

impl Change {
    fn channel(&self) -> &str {
        self.pattern.split('/').next().unwrap_or(&self.pattern)
    }
}

/// Whether a pattern stands for this topic: `*` for one segment, `**` for one or more.
pub(super) fn matches(pattern: &str, topic: &str) -> bool {
    match (pattern.split_once('/'), topic.split_once('/')) {
        (None, _) if pattern == "**" => true,
        (None, None) => pattern == "*" || pattern == topic,
        (Some((head, pattern)), Some((first, topic))) => {
            (head == "*" || head == first) && matches(pattern, topic)
        }
        _ => false,
    }
}
