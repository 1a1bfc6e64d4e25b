//! Topics and workflows: what a workflow publishes, and how it hears what others publish.

use std::time::Duration;

use greenroom::{Cx, Flow, Result, Topic};
use greenroom_macros::{Actor, actor_methods, workflow};
use serde::{Deserialize, Serialize};

use crate::shop::Shop;

/// Waits until somebody has paid, and then tells everybody.
#[workflow]
async fn order(flow: Flow) -> Result<u32> {
    let amount: u32 = flow.wait_for("paid").await?;
    flow.publish("tell", format!("order/{}/done", flow.key()), &format!("{amount} paid")).await?;
    flow.sleep("pause", Duration::from_millis(200)).await;
    Ok(amount)
}

/// Hears what is published to `paid/17`, and signals the order 17; then hears what that publishes.
#[derive(Actor, Default, Serialize, Deserialize)]
struct Cashier {
    done: Vec<String>,
}

#[actor_methods]
impl Cashier {
    #[method(topic = "paid/{key}")]
    async fn paid(&mut self, cx: &Cx, amount: u32) -> Result<()> {
        Ok(cx.reliable(cx.workflow::<order>(cx.key()).signal("paid", &amount))?)
    }

    #[method(topic = "order/{key}/done")]
    async fn hear(&mut self, line: String) {
        self.done.push(line);
    }

    async fn done(&self) -> Vec<String> {
        self.done.clone()
    }
}

#[tokio::test(start_paused = true)]
async fn a_workflow_hears_by_way_of_an_actor_and_publishes_once_over_a_crash_at_any_record() {
    let open = |disk| Shop::over(disk, |engine| engine.register::<Cashier>().workflow::<order>());
    let begin = async |shop: &Shop| {
        shop.workflow::<order>("17").start(()).await.unwrap();
        Topic::new(shop.node.origin(), "paid/17").publish(&5u32).await.unwrap();
    };
    let whole = open(Default::default());
    begin(&whole).await;
    let begun = whole.node.disk.len();
    assert_eq!(whole.workflow::<order>("17").result().await.unwrap(), 5);
    assert_eq!(whole.node.actor::<Cashier>("17").done().await.unwrap(), ["5 paid"]);
    let records = whole.node.disk.len();
    assert!(records > begun + 5, "{records}");
    for kept in begun..=records {
        let shop = open(whole.node.disk.after_crash(kept));
        assert_eq!(shop.workflow::<order>("17").result().await.unwrap(), 5, "{kept} records");
        // A message that is sent again after the crash may still be on its way.
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(shop.node.actor::<Cashier>("17").done().await.unwrap(), ["5 paid"], "{kept} records");
    }
}

#[tokio::test(start_paused = true)]
async fn a_workflow_is_told_that_a_topic_is_none() {
    #[workflow]
    async fn astray(flow: Flow) -> Result<()> {
        Ok(flow.publish("tell", "order/*/done", &1u32).await?)
    }
    let shop = Shop::open(|engine| engine.workflow::<astray>());
    let error = shop.workflow::<astray>("x").run(()).await.unwrap_err().to_string();
    assert!(error.contains("is a pattern; name one topic here"), "{error}");
}
