//! x
use crate::room::Room;
use std::sync::Arc;
pub(crate) async fn watch(_room: Arc<Room>) {
    std::future::pending().await
}
