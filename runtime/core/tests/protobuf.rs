//! Protobuf messages as arguments, replies, errors and states.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;

use greenroom_core::actor::ActorMethods;
use greenroom_core::call::CallResult;
use greenroom_core::{AppError, CallError, CallId, ContentType, OldState, Payload, Proto, Result};
use greenroom_macros::{Actor, actor_methods};
use prost::Message;
use serde::{Deserialize, Serialize};
use support::{Disk, Node};

#[derive(Clone, PartialEq, Message)]
struct Order {
    #[prost(string, tag = "1")]
    item: String,
    #[prost(uint64, tag = "2")]
    count: u64,
}

/// What a shop answers, and why it refuses.
#[derive(Clone, PartialEq, Message)]
struct Receipt {
    #[prost(uint64, tag = "1")]
    orders: u64,
}

/// A message in a field.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core")]
struct Shop {
    orders: u64,
    #[serde(with = "greenroom_core::protobuf", default)]
    last: Order,
}

#[actor_methods(crate = "greenroom_core")]
impl Shop {
    async fn order(&mut self, order: Proto<Order>) -> Result<Proto<Receipt>> {
        self.last = order.0;
        self.orders += 1;
        match self.last.count {
            0 => Err(AppError::new("nothing is ordered")),
            _ => Ok(Proto(Receipt { orders: self.orders })),
        }
    }

    async fn refuse(&mut self, order: Proto<Order>) -> Result<(), Proto<Receipt>> {
        Err(Proto(Receipt { orders: order.count }))
    }

    async fn last(&self) -> Proto<Order> {
        Proto(self.last.clone())
    }

    async fn close(&mut self) {
        *self = Self::default();
    }

    /// Takes no message.
    async fn rename(&mut self, item: String) {
        self.last.item = item;
    }

    /// Takes more than one.
    async fn order_two(&mut self, first: Proto<Order>, second: Proto<Order>) {
        self.orders += first.count + second.count;
    }

    /// Returns none.
    async fn count(&mut self, order: Proto<Order>) -> u64 {
        self.orders += order.count;
        self.orders
    }
}

fn order(item: &str, count: u64) -> Order {
    Order { item: item.into(), count }
}

fn node<A: ActorMethods>(disk: &Arc<Disk>) -> Arc<Node> {
    let node = Arc::new(Node::over::<A>(disk.clone()));
    node.sync_always();
    node
}

/// A call as a client in another language makes it.
async fn call(node: &Node, id: u128, method: &str, message: Vec<u8>) -> CallResult {
    let arguments = Payload { content_type: ContentType::Protobuf, data: message.into() };
    node.call_by_name(CallId(id), "Shop/s", method, arguments).await
}

fn read<T: Message + Default>(reply: &Payload) -> T {
    assert_eq!(reply.content_type, ContentType::Protobuf);
    T::decode(reply.data.clone()).unwrap()
}

fn invalid(answer: CallResult) -> String {
    match answer {
        Err(CallError::Invalid(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn methods_take_and_return_messages_and_a_field_of_the_state_survives_a_restart() {
    let disk = Arc::default();
    let first = node::<Shop>(&disk);
    let shop = first.actor::<Shop>("s");
    assert_eq!(shop.order(Proto(order("tea", 2))).await.unwrap().orders, 1);
    assert_eq!(shop.refuse(Proto(order("tea", 5))).await, Err(CallError::App(Proto(Receipt { orders: 5 }))));
    let again = node::<Shop>(&disk);
    assert_eq!(again.actor::<Shop>("s").last().await.unwrap().0, order("tea", 2));
    let json = again.call_json("Shop/s", "last", "").await.unwrap();
    assert_eq!(json, r#""CgN0ZWEQAg==""#);
    let receipt = again.call_json("Shop/s", "order", &format!(r#"{{"order":{json}}}"#)).await.unwrap();
    assert_eq!(receipt, r#""CAI=""#);
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_payload_is_one_message_is_answered_with_one() {
    let node = node::<Shop>(&Arc::default());
    let receipt = call(&node, 1, "order", order("tea", 2).encode_to_vec()).await.unwrap();
    assert_eq!(read::<Receipt>(&receipt).orders, 1);
    assert_eq!(read::<Order>(&call(&node, 2, "last", Vec::new()).await.unwrap()), order("tea", 2));
    // The same id again: the stored reply.
    let receipt = call(&node, 1, "order", order("tea", 2).encode_to_vec()).await.unwrap();
    assert_eq!(read::<Receipt>(&receipt).orders, 1);
    read::<()>(&call(&node, 3, "close", Vec::new()).await.unwrap());
    assert_eq!(read::<Order>(&call(&node, 4, "last", Vec::new()).await.unwrap()), Order::default());
}

#[tokio::test(start_paused = true)]
async fn errors_of_methods_are_messages_or_json() {
    let node = node::<Shop>(&Arc::default());
    let app = |answer: CallResult| match answer {
        Err(CallError::App(error)) => error,
        other => panic!("{other:?}"),
    };
    let error = app(call(&node, 1, "order", Vec::new()).await);
    assert_eq!((error.content_type, error.to_string().as_str()), (ContentType::Json, "nothing is ordered"));
    let error = app(call(&node, 2, "refuse", order("", 7).encode_to_vec()).await);
    assert_eq!(read::<Receipt>(&error).orders, 7);
    assert_eq!(error.to_string(), "a protobuf message of 2 bytes");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_message_is_refused_before_the_turn_and_says_what_to_do() {
    let disk = Arc::default();
    let node = node::<Shop>(&disk);
    let message = || order("tea", 2).encode_to_vec();
    for (method, bytes, part) in [
        ("order", b"\x0a\xff".to_vec(), "at `order`: these bytes are no Order: "),
        ("order", b"\x0a\xff".to_vec(), "; encode them with the node's own .proto; Shop.order takes order"),
        ("rename", message(), "at `item`: it is no protobuf message; call with MessagePack or JSON"),
        ("order_two", message(), "one protobuf message cannot be 2 arguments; call with MessagePack or JSON"),
        (
            "count",
            message(),
            "what Shop.count returns is no protobuf message; call it with MessagePack or JSON",
        ),
        ("close", message(), "are given for nothing; send an empty message; Shop.close takes no arguments"),
    ] {
        let why = invalid(call(&node, 9, method, bytes).await);
        assert!(why.contains(part), "{why}");
    }
    let error =
        node.call_json("Shop/s", "order", r#"{"order":{"item":"tea"}}"#).await.unwrap_err().to_string();
    let part = "at `order`: invalid type: map, expected the bytes of the protobuf message Order, which JSON writes in base64";
    assert!(error.contains(part), "{error}");
    assert_eq!(disk.commits(), 0);
}

/// A state that is a message as a whole.
#[derive(Clone, PartialEq, Message, Actor)]
#[actor(crate = "greenroom_core", state = "protobuf", name = "Profile")]
struct Profile {
    #[prost(string, tag = "1")]
    name: String,
}

#[actor_methods(crate = "greenroom_core")]
impl Profile {
    async fn rename(&mut self, name: String) -> Result<()> {
        self.name = name;
        if self.name.is_empty() {
            return Err(AppError::new("a profile has a name"));
        }
        Ok(())
    }

    async fn name(&self) -> String {
        self.name.clone()
    }
}

/// The same with one more field.
#[derive(Clone, PartialEq, Message, Actor)]
#[actor(crate = "greenroom_core", state = "protobuf", name = "Profile")]
struct Grown {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(uint32, tag = "2")]
    level: u32,
}

#[actor_methods(crate = "greenroom_core")]
impl Grown {
    async fn rise(&mut self) -> (String, u32) {
        self.level += 1;
        (self.name.clone(), self.level)
    }
}

#[tokio::test(start_paused = true)]
async fn a_state_that_is_a_message_survives_a_restart_and_a_field_that_comes_later() {
    let disk: Arc<Disk> = Arc::default();
    let first = node::<Profile>(&disk);
    let profile = first.actor::<Profile>("p");
    profile.rename("Ann".into()).await.unwrap();
    // The head of five bytes in MessagePack, and the message as every language writes it.
    assert_eq!(disk.last_state(), [&[0xc4, 5][..], b"\x0a\x03Ann"].concat());
    profile.rename("Ann".into()).await.unwrap();
    assert_eq!(disk.commits(), 1, "a turn that changes nothing writes nothing");
    profile.rename(String::new()).await.unwrap_err();
    assert_eq!(profile.name().await.unwrap(), "Ann");

    let grown = node::<Grown>(&disk);
    assert_eq!(grown.actor::<Grown>("p").rise().await.unwrap(), ("Ann".into(), 1));
    // Back to the earlier program: it passes over the field, and its next commit drops it.
    let back = node::<Profile>(&disk);
    let before = back.actor::<Profile>("p");
    assert_eq!(before.name().await.unwrap(), "Ann");
    before.rename("Bo".into()).await.unwrap();
    assert_eq!(node::<Grown>(&disk).actor::<Grown>("p").rise().await.unwrap(), ("Bo".into(), 1));
}

/// What was a struct of serde before.
#[derive(Clone, PartialEq, Message, Actor)]
#[actor(crate = "greenroom_core", state = "protobuf", name = "Shop", version = 1, migrate = Self::migrate)]
struct Books {
    #[prost(uint64, tag = "1")]
    orders: u64,
    #[prost(message, optional, tag = "2")]
    last: Option<Order>,
}

impl Books {
    fn migrate(_: u32, old: OldState) -> Result<Self> {
        let old: Shop = old.decode()?;
        Ok(Self { orders: old.orders, last: Some(old.last) })
    }
}

#[actor_methods(crate = "greenroom_core")]
impl Books {
    async fn get(&mut self, add: u64) -> (u64, Proto<Order>) {
        self.orders += add;
        (self.orders, Proto(self.last.clone().unwrap_or_default()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_state_of_serde_is_migrated_to_a_message() {
    let disk = Arc::default();
    node::<Shop>(&disk).actor::<Shop>("s").order(Proto(order("tea", 2))).await.unwrap();
    for expected in [2, 3] {
        let books = node::<Books>(&disk);
        let got = books.actor::<Books>("s").get(1).await.unwrap();
        assert_eq!(got, (expected, Proto(order("tea", 2))));
    }
}
