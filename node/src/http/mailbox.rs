//! `GET /v1/mailbox?peek`: what waits for the calling device, for a process of its that may show it and not take it.

use axum::Json;
use axum::extract::{Query, State};
use chasqui_wire::http::{Binary, WaitingMail};
use chasqui_wire::{Deliver, NodeFrame};
use serde::Deserialize;

use super::bearer::Caller;
use super::problem::Problem;
use crate::relay::Peeked;
use crate::serve::App;

#[derive(Deserialize)]
pub(super) struct Asked {
    peek: Option<String>,
}

pub(super) async fn peek(
    State(app): State<App>,
    caller: Caller,
    Query(asked): Query<Asked>,
) -> Result<Json<WaitingMail>, Problem> {
    // Mail is taken from a socket, and nowhere else.
    asked.peek.ok_or_else(|| Problem::invalid("a mailbox can only be peeked into: ?peek"))?;
    app.gate.peek(caller.device)?;
    let Peeked { entries, has_more } = app.relay.call(move |accounts| accounts.peek(caller.device)).await?;
    let deliver = Binary(NodeFrame::Deliver(Deliver { entries }).encode());
    Ok(Json(WaitingMail { deliver, has_more }))
}
