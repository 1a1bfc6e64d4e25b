//! What a client may want of a ledger, and how it says so.

use greenroom_core::codec::CodecError;
use greenroom_core::{CallId, ContentType, Payload};
use serde::Serialize;

use crate::scene::Scene;

/// What a client wants.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) id: CallId,
    pub(crate) ledger: String,
    pub(crate) what: What,
    pub(crate) content_type: ContentType,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    Read,
    Append(u64),
    AppendSlowly(u64, u64),
    Refuse(u64),
    Explode(u64),
    Relay { to: String, value: u64 },
}

/// The arguments of every method by name, as a client without the types would send them.
#[derive(Serialize)]
struct Arguments<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pause_ms: Option<u64>,
}

/// The name of a ledger.
pub(crate) fn ledger_name(number: usize) -> String {
    format!("l{number}")
}

impl Wish {
    /// The arguments in the form that goes to a gateway.
    pub(crate) fn arguments(&self) -> Result<Payload, CodecError> {
        let pause_ms = if let What::AppendSlowly(_, pause_ms) = self.what { Some(pause_ms) } else { None };
        let arguments = Arguments { to: self.what.through(), value: self.what.value(), pause_ms };
        Payload::encode(self.content_type, "the arguments", &arguments)
    }

    /// A read, as msgpack.
    pub(crate) fn read(scene: &Scene, ledger: &str) -> Self {
        let (id, content_type) = (CallId(scene.world.draw(|random| random.u128(..))), ContentType::Msgpack);
        Self { id, ledger: ledger.to_owned(), what: What::Read, content_type }
    }

    /// Whatever the seed wants; `value` is this call's own.
    pub(crate) fn draw(scene: &Scene, value: u64) -> Self {
        let (world, ledgers) = (&scene.world, scene.settings.ledgers);
        let number = world.draw(|random| random.usize(..ledgers));
        let pause_ms = world.draw(|random| random.u64(0..400));
        let what = match world.draw(|random| random.u8(..20)) {
            0..8 => What::Append(value),
            8..10 => What::AppendSlowly(value, pause_ms),
            10..11 => What::Refuse(value),
            11..12 => What::Explode(value),
            // Always to a later ledger: two that wait for each other would wait until their deadlines.
            12..15 if number + 1 < ledgers => {
                let to = world.draw(|random| random.usize(number + 1..ledgers));
                What::Relay { to: ledger_name(to), value }
            }
            _ => What::Read,
        };
        let content_type = if world.chance(0.2) { ContentType::Json } else { ContentType::Msgpack };
        Self {
            id: CallId(world.draw(|random| random.u128(..))),
            ledger: ledger_name(number),
            what,
            content_type,
        }
    }
}

impl What {
    /// The wire name of the method.
    pub(crate) fn method(&self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Append(_) => "append",
            Self::AppendSlowly(..) => "append_slowly",
            Self::Refuse(_) => "refuse",
            Self::Explode(_) => "explode",
            Self::Relay { .. } => "relay",
        }
    }

    /// The value to append, if it is not a read.
    pub(crate) fn value(&self) -> Option<u64> {
        match self {
            Self::Read => None,
            Self::Append(value)
            | Self::AppendSlowly(value, _)
            | Self::Refuse(value)
            | Self::Explode(value)
            | Self::Relay { value, .. } => Some(*value),
        }
    }

    /// The ledger that a relayed value goes through first.
    pub(crate) fn through(&self) -> Option<&str> {
        match self {
            Self::Relay { to, .. } => Some(to),
            _ => None,
        }
    }
}
