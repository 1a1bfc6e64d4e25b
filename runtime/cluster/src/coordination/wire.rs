//! The register's types as they go over gRPC. A page travels as JSON, the form in which it is stored.

use greenroom_core::map::Page;
use greenroom_proto::v1;

use super::{Peer, Version, Versioned};

pub(super) fn page_to_wire(page: &Versioned<Page>) -> Result<v1::PageVersion, String> {
    Ok(v1::PageVersion {
        page: u32::from(page.content.page),
        version: page.version.0,
        content: content_to_wire(&page.content)?,
    })
}

pub(super) fn content_to_wire(page: &Page) -> Result<String, String> {
    serde_json::to_string(page).map_err(|e| format!("cannot encode page {} of the shard map: {e}", page.page))
}

pub(super) fn page_from_wire(page: &v1::PageVersion) -> Result<Versioned<Page>, String> {
    let content = content_from_wire(page.page, &page.content)?;
    Ok(Versioned { version: Version(page.version), content })
}

pub(super) fn content_from_wire(page: u32, content: &str) -> Result<Page, String> {
    let content: Page = serde_json::from_str(content)
        .map_err(|e| format!("page {page} of the shard map is not readable: {e}"))?;
    if u32::from(content.page) != page {
        return Err(format!("page {page} was asked for, the content is that of page {}", content.page));
    }
    Ok(content)
}

pub(super) fn page_number(page: u32) -> Result<u16, String> {
    u16::try_from(page).map_err(|_| format!("page {page} is beyond the largest shard map"))
}

impl From<Peer> for v1::Peer {
    fn from(peer: Peer) -> Self {
        let Peer { name, mesh_address, gateway_address, admin_address, health_address, pid } = peer;
        Self { name, mesh_address, gateway_address, admin_address, health_address, pid }
    }
}

impl From<v1::Peer> for Peer {
    fn from(peer: v1::Peer) -> Self {
        let v1::Peer { name, mesh_address, gateway_address, admin_address, health_address, pid } = peer;
        Self { name, mesh_address, gateway_address, admin_address, health_address, pid }
    }
}
