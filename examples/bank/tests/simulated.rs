//! No money is made and none is lost, from many seeds: whatever nodes, networks and disks do.

use std::time::Duration;

use futures_util::future::join_all;
use futures_util::join;
use greenroom::NoResult;
use greenroom::testing::{Cluster, Simulation};
use greenroom_bank::{Account, AccountError, Transfer, TransferError, transfer};

const ACCOUNTS: u64 = 5;
const TRANSFERS: u64 = 12;
const PAID_IN: u64 = 100;

fn account(number: u64) -> String {
    format!("account-{}", number % ACCOUNTS)
}

/// What goes wrong is drawn; in the end everything is well again.
async fn faults(cluster: &Cluster) {
    for _ in 0..6 {
        cluster.advance(Duration::from_millis(cluster.random(1..150))).await;
        let node = format!("node-{}", cluster.random(0..3));
        match cluster.random(0..6) {
            0 => cluster.pause(&node, Duration::from_millis(cluster.random(1..3_000))),
            1 => cluster.slow_disk(&node),
            2 => cluster.partition(&["node-0"], &["node-1", "node-2"]),
            _ => {
                cluster.kill(&node);
                cluster.advance(Duration::from_millis(cluster.random(1..2_000))).await;
                cluster.restart(&node);
            }
        }
    }
    cluster.heal();
}

/// The sum of all balances, and how much each transfer that succeeded has moved.
async fn check(cluster: &Cluster, moved: &[(u64, u64, u64)]) -> greenroom::testing::Result {
    let (mut sum, patience) = (0, Duration::from_secs(60));
    for number in 0..ACCOUNTS {
        let balance = cluster.actor::<Account>(account(number)).balance().timeout(patience).await?;
        let to: u64 = moved.iter().filter(|(_, to, _)| to % ACCOUNTS == number).map(|moved| moved.2).sum();
        let from: u64 =
            moved.iter().filter(|(from, ..)| from % ACCOUNTS == number).map(|moved| moved.2).sum();
        assert_eq!(balance + from, PAID_IN + to, "account {number}: {moved:?}");
        sum += balance;
    }
    assert_eq!(sum, ACCOUNTS * PAID_IN);
    Ok(())
}

#[test]
fn the_sum_is_constant_under_every_fault() {
    let simulation = Simulation::new().actor::<Account>().workflow::<transfer>();
    simulation.seeds(20).run(async |cluster| {
        for number in 0..ACCOUNTS {
            cluster.actor::<Account>(account(number)).deposit(PAID_IN).await?;
        }
        cluster.drop_messages(0.05);
        cluster.duplicate_messages(0.05);
        let transfers = (0..TRANSFERS).map(|number| {
            let (from, to) = (number * 3, number * 3 + 1 + number % 4);
            (from, to, cluster.random(1..150))
        });
        let transfers: Vec<_> = transfers.collect();
        let outcomes = join_all(transfers.iter().zip(0..).map(async |((from, to, amount), number)| {
            let workflow = cluster.workflow::<transfer>(format!("transfer-{number}"));
            let input = Transfer { from: account(*from), to: account(*to), amount: *amount };
            // Whoever has no answer asks again: it is the same transfer.
            while workflow.start(input.clone()).await.is_err() {}
            workflow.result().await
        }));
        let (outcomes, ()) = join!(outcomes, faults(&cluster));
        let mut moved = Vec::new();
        for (transfer, outcome) in transfers.iter().zip(outcomes) {
            match outcome {
                Ok(()) => moved.push(*transfer),
                Err(NoResult::Failed(TransferError::Refused(AccountError::Overdrawn { .. }))) => {}
                Err(error) => return Err(error.into()),
            }
        }
        check(&cluster, &moved).await
    });
}

#[test]
fn what_a_closed_account_refuses_goes_back() {
    Simulation::new().actor::<Account>().workflow::<transfer>().seeds(5).run(async |cluster| {
        let (anna, bert) = (cluster.actor::<Account>("anna"), cluster.actor::<Account>("bert"));
        anna.deposit(PAID_IN).await?;
        bert.close().await?;
        let moving = cluster.workflow::<transfer>("1");
        moving.start(Transfer { from: "anna".into(), to: "bert".into(), amount: 30 }).await?;
        // Somewhere between its steps.
        cluster.advance(Duration::from_millis(cluster.random(0..20))).await;
        let node = cluster.node_of_workflow::<transfer>("1");
        cluster.restart(&node);
        let refused = TransferError::Refused(AccountError::Closed);
        assert_eq!(moving.result().await, Err(NoResult::Failed(refused)));
        assert_eq!(anna.balance().await?, PAID_IN);
        Ok(())
    });
}
