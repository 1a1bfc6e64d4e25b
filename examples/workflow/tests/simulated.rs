//! Orders in a simulated cluster whose nodes are killed at every step: whatever happens, a buyer has the money or a parcel.

use std::time::Duration;

use futures_util::future::join_all;
use futures_util::join;
use greenroom::testing::{Cluster, Result, Simulation};
use greenroom::{NoResult, WorkflowState};
use greenroom_workflow::{
    Account, Carrier, Declined, Order, OrderError, PICK_UP_WITHIN, Receipt, SoldOut, Stock, order,
};

fn shop() -> Simulation {
    Simulation::new().actor::<Account>().actor::<Stock>().actor::<Carrier>().workflow::<order>()
}

async fn open(cluster: &Cluster, teapots: u32, money: u64) -> Result {
    cluster.actor::<Stock>("teapot").put(teapots).await?;
    cluster.actor::<Account>("anna").deposit(money).await?;
    Ok(())
}

/// Pieces in stock, the buyer's money, the shop's money, and what is to be picked up.
type Books = (u32, u64, u64, Vec<String>);

async fn books(cluster: &Cluster) -> std::result::Result<Books, Box<dyn std::error::Error>> {
    // Messages may still be on their way.
    cluster.advance(Duration::from_secs(30)).await;
    Ok((
        cluster.actor::<Stock>("teapot").pieces().await?,
        cluster.actor::<Account>("anna").balance().await?,
        cluster.actor::<Account>("shop").balance().await?,
        cluster.actor::<Carrier>("post").booked().await?,
    ))
}

fn one_teapot() -> Order {
    Order { buyer: "anna".into(), item: "teapot".into(), pieces: 1, total: 30 }
}

/// Lets the carrier come until it has the parcel.
async fn pick_up(cluster: &Cluster, key: &str) {
    let booked =
        async || cluster.actor::<Carrier>("post").booked().await.is_ok_and(|all| all.contains(&key.into()));
    while !booked().await {
        cluster.advance(Duration::from_millis(50)).await;
    }
    while booked().await {
        // An error: it was picked up, and the answer was lost.
        let _ = cluster.actor::<Carrier>("post").pick_up(key.into()).await;
    }
}

#[test]
fn an_order_survives_the_loss_of_its_node_at_every_step() {
    const STEPS: usize = 4;
    for step in 0..=STEPS {
        shop().seed(step as u64).run(async |cluster| {
            open(&cluster, 5, 100).await?;
            let workflow = cluster.workflow::<order>("order-17");
            workflow.start(one_teapot()).await?;
            let crash = async {
                while workflow.status().await.map_or(0, |status| status.steps.len()) < step {
                    cluster.advance(Duration::from_millis(1)).await;
                }
                let node = cluster.node_of_workflow::<order>("order-17");
                cluster.kill(&node);
                cluster.advance(Duration::from_secs(20)).await;
                cluster.restart(&node);
            };
            join!(crash, pick_up(&cluster, "order-17"));
            let receipt = Receipt { paid: 30, parcel: "post/order-17".into() };
            assert_eq!(workflow.result().await?, receipt);
            assert_eq!(books(&cluster).await?, (4, 70, 30, vec![]));
            Ok(())
        });
    }
}

#[test]
fn what_cannot_be_sold_leaves_everything_as_it_was() {
    shop().seeds(3).run(async |cluster| {
        open(&cluster, 2, 40).await?;
        let order_of = |pieces, total| Order { pieces, total, ..one_teapot() };
        let sold_out = cluster.workflow::<order>("too-many").run(order_of(3, 30)).await;
        assert_eq!(sold_out, Err(NoResult::Failed(OrderError::SoldOut(SoldOut { left: 2 }))));
        let declined = cluster.workflow::<order>("too-dear").run(order_of(1, 50)).await;
        assert_eq!(declined, Err(NoResult::Failed(OrderError::Declined(Declined { missing: 10 }))));
        assert_eq!(books(&cluster).await?, (2, 40, 0, vec![]));
        Ok(())
    });
}

#[test]
fn a_parcel_that_nobody_picks_up_is_refunded_after_a_day_also_over_a_restart() {
    shop().run(async |cluster| {
        open(&cluster, 1, 100).await?;
        let workflow = cluster.workflow::<order>("order-17");
        workflow.start(one_teapot()).await?;
        cluster.advance(PICK_UP_WITHIN / 2).await;
        assert_eq!(workflow.status().await?.state, WorkflowState::Suspended);
        for node in cluster.nodes() {
            cluster.restart(&node);
        }
        cluster.advance(PICK_UP_WITHIN / 2 - Duration::from_mins(1)).await;
        assert_eq!(workflow.outcome().await?, None);
        cluster.advance(Duration::from_mins(2)).await;
        assert_eq!(workflow.result().await, Err(NoResult::Failed(OrderError::NotPickedUp)));
        assert_eq!(books(&cluster).await?, (1, 100, 0, vec![]));
        Ok(())
    });
}

#[test]
fn a_cancelled_order_gives_everything_back() {
    shop().seeds(5).run(async |cluster| {
        open(&cluster, 1, 100).await?;
        let workflow = cluster.workflow::<order>("order-17");
        workflow.start(one_teapot()).await?;
        cluster.advance(Duration::from_millis(cluster.random(0..100))).await;
        workflow.cancel().await?;
        // At any time: the move of its shard to another owner is one more thing that may come in between.
        let node = cluster.node_of_workflow::<order>("order-17");
        cluster.stop(&node).await;
        cluster.restart(&node);
        assert_eq!(workflow.result().await, Err(NoResult::Cancelled));
        assert_eq!(books(&cluster).await?, (1, 100, 0, vec![]));
        Ok(())
    });
}

/// Kills one node after the other, and starts it again.
async fn kill_nodes(cluster: &Cluster) {
    for _ in 0..6 {
        cluster.advance(Duration::from_millis(cluster.random(1..100))).await;
        let node = format!("node-{}", cluster.random(0..3));
        cluster.kill(&node);
        cluster.advance(Duration::from_millis(cluster.random(1..2_000))).await;
        cluster.restart(&node);
    }
}

#[test]
fn many_orders_under_crashes_add_up() {
    shop().seeds(10).run(async |cluster| {
        open(&cluster, 5, 130).await?;
        cluster.drop_messages(0.05);
        let selling = join_all((0..8).map(async |number| {
            let key = format!("order-{number}");
            let workflow = cluster.workflow::<order>(&key);
            while workflow.start(one_teapot()).await.is_err() {}
            tokio::select! {
                biased;
                outcome = workflow.result() => outcome,
                () = pick_up(&cluster, &key) => workflow.result().await,
            }
        }));
        let (outcomes, ()) = join!(selling, kill_nodes(&cluster));
        cluster.heal();
        // There is money for four.
        let sold = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!(sold, 4, "{outcomes:?}");
        assert_eq!(books(&cluster).await?, (1, 10, 120, vec![]));
        Ok(())
    });
}
