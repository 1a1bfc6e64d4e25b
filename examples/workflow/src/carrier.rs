//! Who brings parcels.

use std::collections::BTreeSet;

use greenroom::{Actor, AppError, Cx, Result, actor_methods};
use serde::{Deserialize, Serialize};

use crate::orders::{PICKED_UP, order};

/// A carrier: knows the orders whose parcels it is to pick up.
#[derive(Actor, Default, Serialize, Deserialize)]
pub struct Carrier {
    booked: BTreeSet<String>,
}

#[actor_methods]
impl Carrier {
    /// Books a parcel for this order.
    pub async fn book(&mut self, order: String) {
        self.booked.insert(order);
    }

    /// Does not come for it any more.
    pub async fn cancel(&mut self, order: String) {
        self.booked.remove(&order);
    }

    /// The driver has the parcel. The order is told so in this turn's commit: exactly if it was picked up.
    pub async fn pick_up(&mut self, cx: &Cx, key: String) -> Result<()> {
        if !self.booked.remove(&key) {
            return Err(AppError::new(format!("no parcel is booked for {key}")));
        }
        let parcel = format!("{}/{key}", cx.key());
        cx.reliable(cx.workflow::<order>(&key).signal(PICKED_UP, &parcel))?;
        Ok(())
    }

    /// The orders that wait to be picked up.
    pub async fn booked(&self) -> Vec<String> {
        self.booked.iter().cloned().collect()
    }
}
