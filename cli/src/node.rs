//! `greenroom node`: the stock node, which has `Counter` and `KeyValue`. What a node does is told in crate `greenroom`.

use crate::failure::{OrFail, Result};

pub(crate) async fn run(args: greenroom::config::NodeArgs) -> Result {
    greenroom::run_stock(args).await.or_fail("the node has stopped")
}
