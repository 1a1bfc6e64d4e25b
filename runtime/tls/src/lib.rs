//! Mutual TLS between the parts of Greenroom.
