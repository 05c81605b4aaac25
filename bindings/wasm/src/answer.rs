//! Carries out what a tab asks for.

use chasqui::{BackupPages, Client, Error, ExportPages, Restore};
use serde_json::{Value, json};

use crate::again::{Repeated, answered_before};
use crate::request::Request;
use crate::shape;

/// What goes back to the tab.
#[derive(Debug)]
pub enum Answer {
    /// JSON.
    Value(Value),
    /// A file that the worker still has to take, a page at a time.
    File(Pages),
    /// Nothing yet: the worker first has to give it the tab's file, a piece at a time.
    Restore(Box<Restore>),
    /// JSON, and the client is closed for good.
    Last(Value),
}

/// A file that is made a page at a time.
#[derive(Debug)]
pub enum Pages {
    /// Lines of JSON.
    Export(ExportPages),
    /// A backup.
    Backup(Box<BackupPages>),
}

impl Pages {
    /// The next bytes of the file, or `None` after the last.
    ///
    /// # Errors
    /// As the core's.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        match self {
            Self::Export(pages) => pages.next().await,
            Self::Backup(pages) => pages.next().await,
        }
    }

    /// What browsers call such a file.
    pub fn media_type(&self) -> &'static str {
        match self {
            Self::Export(_) => "application/x-ndjson",
            Self::Backup(_) => "application/octet-stream",
        }
    }
}

/// Carries out a request. `again`: it was asked before, of a worker that is gone.
///
/// # Errors
/// As the operation of that name.
pub async fn answer(client: &Client, request: Request, again: bool) -> Result<Answer, Error> {
    let repeated = if again { Repeated::from(&request) } else { Repeated::Other };
    let is_last = matches!(request, Request::Wipe {} | Request::DeleteAccount { .. });
    match &request {
        Request::Export {} => return Ok(Answer::File(Pages::Export(client.export_pages()))),
        Request::BackUp { phrase } => return Ok(Answer::File(Pages::Backup(client.backup_pages(phrase)?.into()))),
        Request::Restore { phrase } => return Ok(Answer::Restore(client.begin_restore(phrase)?.into())),
        _ => {}
    }
    match done(client, request).await {
        Ok(value) if is_last => Ok(Answer::Last(value)),
        Ok(value) => Ok(Answer::Value(value)),
        // Whoever was asked before did it, and this client is another: it goes on.
        Err(error) => answered_before(client, repeated, error).await.map(Answer::Value),
    }
}

async fn done(client: &Client, request: Request) -> Result<Value, Error> {
    let nothing = |()| Value::Null;
    Ok(match request {
        Request::Account {} => client.account().await?.as_ref().map_or(Value::Null, shape::account),
        Request::Register { name, password, device_name } => {
            shape::account(&client.register(&name, &password, &device_name).await?)
        }
        Request::Login { name, password, device_name } => {
            shape::account(&client.login(&name, &password, &device_name).await?)
        }
        Request::EnrolWithToken { token, device_name } => {
            shape::account(&client.enrol_with_token(&token, &device_name).await?)
        }
        Request::RequestCode { phone } => shape::challenge(&client.request_code(&phone).await?),
        Request::EnrolWithCode { challenge, code, pin, device_name } => {
            shape::account(&client.enrol_with_code(&challenge, &code, pin.as_deref(), &device_name).await?)
        }
        Request::ReplaceAccountWithCode { challenge, code, device_name } => {
            shape::account(&client.replace_account_with_code(&challenge, &code, &device_name).await?)
        }
        Request::SetPin { pin } => client.set_pin(pin.as_deref()).await.map(nothing)?,
        Request::Logout {} => client.logout().await.map(nothing)?,
        Request::Wipe {} => client.clone().wipe().await.map(nothing)?,
        Request::DeleteAccount { proof } => client.delete_account(proof.into()).await.map(nothing)?,
        Request::Devices {} => client.devices().await?.iter().map(shape::device).collect(),
        Request::RevokeDevice { device } => client.revoke_device(device).await.map(nothing)?,
        Request::FindUser { name } => shape::user(&client.find_user(&name).await?),
        Request::OpenDirect { peer } => json!(client.open_direct(peer).await?),
        Request::OpenDirectAs { peer, protection } => json!(client.open_direct_as(peer, protection.into()).await?),
        Request::BeginLinking {} => json!(client.begin_linking().await?),
        Request::LinkingNumber {} => json!(client.linking_number().await?),
        Request::LinkDevice { code } => json!(client.link_device(&code).await?),
        Request::ConfirmLinking {} => client.confirm_linking().await.map(nothing)?,
        Request::CancelLinking {} => client.cancel_linking().await.map(nothing)?,
        Request::SendText { message, conversation, text } => {
            client.send_text_as(message, conversation, text).await?;
            json!(message)
        }
        Request::Retry { message } => client.retry(message).await.map(nothing)?,
        Request::MarkRead { conversation, up_to } => client.mark_read(conversation, up_to).await.map(nothing)?,
        Request::Delete { message } => client.delete(message).await.map(nothing)?,
        Request::SetTyping { conversation, typing } => client.set_typing(conversation, typing).await.map(nothing)?,
        Request::Typing {} => shape::typing(&client.typing()),
        Request::AcceptRequest { conversation } => client.accept_request(conversation).await.map(nothing)?,
        Request::DeclineRequest { conversation, block } => {
            client.decline_request(conversation, block).await.map(nothing)?
        }
        Request::Conversations { limit } => {
            client.conversations(limit).await?.iter().map(shape::conversation).collect()
        }
        Request::Conversation { conversation } => {
            client.conversation(conversation).await?.as_ref().map_or(Value::Null, shape::conversation)
        }
        Request::TotalUnread {} => client.total_unread().await?.into(),
        Request::Timeline { conversation, before, limit } => {
            shape::page(&client.timeline(conversation, before.map(|place| place.0), limit).await?)
        }
        Request::TimelineAfter { conversation, after, limit } => {
            shape::page(&client.timeline_after(conversation, after.0, limit).await?)
        }
        Request::Incomplete {} => client.incomplete().await?.as_ref().map_or(Value::Null, shape::incomplete),
        Request::Message { message } => client.message(message).await?.as_ref().map_or(Value::Null, shape::message),
        Request::Search { query, limit } => client.search(&query, limit).await?.iter().map(shape::hit).collect(),
        Request::Connection {} => shape::connection(client.connection()),
        Request::Salvages {} => client.salvages().await?.iter().map(shape::salvage).collect(),
        Request::NetworkUp {} => {
            client.network_up();
            Value::Null
        }
        Request::ExportFromNode {} => client.export_from_node().await?.into(),
        Request::SafetyNumber { user } => shape::safety_number(&client.safety_number(user).await?),
        Request::Verify { user, scanned } => client.verify(user, &scanned).await?.into(),
        Request::SetVerified { user, is_verified } => client.set_verified(user, is_verified).await.map(nothing)?,
        Request::ResetIdentity { proof } => client.reset_identity(proof.into()).await.map(nothing)?,
        Request::SecurityEvents { after, limit } => {
            client.security_events(after, limit).await?.iter().map(shape::security_event).collect()
        }
        Request::HistoryTransfer {} => shape::transfer(client.history_transfer().await?),
        // Taken or given a piece at a time.
        Request::Export {} | Request::BackUp { .. } | Request::Restore { .. } => Value::Null,
    })
}
