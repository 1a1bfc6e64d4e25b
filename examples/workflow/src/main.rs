//! Orders something, lets the carrier pick it up, and prints each step as it is recorded.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use clap::Parser;
use greenroom::{Client, Runtime, WorkflowRef};
use greenroom_workflow::{Account, AccountRef, Carrier, CarrierRef, Order, Stock, StockRef, order};

/// Orders something and follows the order.
#[derive(Parser)]
struct Args {
    /// Be a node, too: the shop is in this process
    #[arg(long, conflicts_with = "gateway")]
    local: bool,

    /// A gateway of the cluster, HOST:PORT; may be given several times. Without it, and without --local, the running
    /// `greenroom dev` cluster below the current directory is used
    #[arg(long, env = "GREENROOM_GATEWAY", value_delimiter = ',')]
    gateway: Vec<String>,

    /// What the buyer has; the order costs 30
    #[arg(long, default_value_t = 100)]
    money: u64,

    /// Seconds until the carrier comes
    #[arg(long, default_value_t = 5)]
    pick_up_after: u64,

    /// Cancels the order instead of letting it be picked up
    #[arg(long)]
    cancel: bool,
}

/// What the client calls.
struct Shop {
    stock: StockRef,
    buyer: AccountRef,
    carrier: CarrierRef,
    order: WorkflowRef<order>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    // Orders outlive this program, so the next one needs another key.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
    let key = format!("order-{}", now.as_millis());
    if args.local {
        let runtime = Runtime::local().actor::<Account>().actor::<Stock>().actor::<Carrier>();
        let runtime = runtime.workflow::<order>().start().await?;
        let shop = Shop {
            stock: runtime.actor::<Stock>("teapot"),
            buyer: runtime.actor::<Account>(&key),
            carrier: runtime.actor::<Carrier>("post"),
            order: runtime.workflow::<order>(&key),
        };
        shop.sell(&args, &key).await?;
        runtime.shutdown().await;
        return Ok(());
    }
    let client = if args.gateway.is_empty() { Client::dev(".")? } else { Client::connect(&args.gateway)? };
    let shop = Shop {
        stock: client.actor::<Stock>("teapot"),
        buyer: client.actor::<Account>(&key),
        carrier: client.actor::<Carrier>("post"),
        order: client.workflow::<order>(&key),
    };
    shop.sell(&args, &key).await
}

impl Shop {
    async fn sell(&self, args: &Args, key: &str) -> Result<()> {
        self.stock.put(1).await?;
        self.buyer.deposit(args.money).await?;
        println!("{key}: a teapot for 30");
        self.order.start(Order { buyer: key.into(), item: "teapot".into(), pieces: 1, total: 30 }).await?;
        tokio::try_join!(self.follow(), self.deliver(args, key))?;
        match self.order.result().await {
            Ok(receipt) => println!("paid {}, parcel {}", receipt.paid, receipt.parcel),
            Err(error) => println!("{error}"),
        }
        println!("the buyer has {}", self.buyer.balance().await?);
        Ok(())
    }

    /// Prints what is recorded, until the order has ended.
    async fn follow(&self) -> Result<()> {
        let mut seen = BTreeSet::new();
        loop {
            let status = self.order.status().await?;
            let new: Vec<_> =
                status.steps.into_iter().filter(|step| seen.insert(step.name.clone())).collect();
            for step in new {
                println!("  {} ({})", step.name, step.kind);
            }
            if status.ended_unix_ms.is_some() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn deliver(&self, args: &Args, key: &str) -> Result<()> {
        tokio::time::sleep(Duration::from_secs(args.pick_up_after)).await;
        if args.cancel {
            self.order.cancel().await?;
        } else if let Err(error) = self.carrier.pick_up(key.into()).await {
            println!("  the carrier: {error}");
        }
        Ok(())
    }
}
