//! The limits of the gateway. Passing one is a named error of that call; the connection goes on.

use std::time::Duration;

/// The largest request or reply, encoded.
pub const MAX_MESSAGE_BYTES: usize = 4 << 20;

/// The longest deadline that a client can ask for; a longer one is cut to this.
pub const DEFAULT_DEADLINE_MAX: Duration = Duration::from_secs(600);
