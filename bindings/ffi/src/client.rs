//! The client, operation by operation. What each does, and how it fails, is said at [`chasqui::Client`].

use std::sync::Arc;

use chasqui::{Client, ConversationId, Cursor, DeviceId, MessageId, Seq, UserId};

use crate::account::{Account, AccountProof, DeviceInfo, PhoneChallenge, UserInfo};
use crate::backup::{NativeBackup, NativeRestore};
use crate::config::Config;
use crate::connection::ConnectionState;
use crate::conversation::{ConversationSummary, Protection, Typing};
use crate::error::ChasquiError;
use crate::export::NativeExport;
use crate::identity::{HistoryTransfer, SafetyNumber, SecurityEvent};
use crate::message::Message;
use crate::observer::{
    NativeConnectionObserver, NativeConversationsObserver, NativeSalvageObserver, NativeSecurityObserver,
    NativeTimelineObserver, NativeTransferObserver, NativeTypingObserver, all,
};
use crate::planted;
use crate::salvage::Salvage;
use crate::scalar::{Count, unsigned};
use crate::timeline::{Incomplete, SearchHit, TimelinePage};

/// One device of one user.
#[derive(uniffi::Object)]
pub struct NativeClient(Client);

#[uniffi::export]
impl NativeClient {
    /// See [`Client::open`].
    #[uniffi::constructor]
    pub async fn open(config: Config) -> Result<Arc<Self>, ChasquiError> {
        Ok(Arc::new(Self(Client::open(config.try_into()?).await?)))
    }

    /// See [`Client::account`].
    pub async fn account(&self) -> Result<Option<Account>, ChasquiError> {
        Ok(self.0.account().await?.map(Account::from))
    }

    /// See [`Client::register`].
    pub async fn register(&self, name: String, password: String, device_name: String) -> Result<Account, ChasquiError> {
        Ok(self.0.register(&name, &password, &device_name).await?.into())
    }

    /// See [`Client::login`].
    pub async fn login(&self, name: String, password: String, device_name: String) -> Result<Account, ChasquiError> {
        Ok(self.0.login(&name, &password, &device_name).await?.into())
    }

    /// See [`Client::enrol_with_token`].
    pub async fn enrol_with_token(&self, token: String, device_name: String) -> Result<Account, ChasquiError> {
        Ok(self.0.enrol_with_token(&token, &device_name).await?.into())
    }

    /// See [`Client::request_code`].
    pub async fn request_code(&self, phone: String) -> Result<PhoneChallenge, ChasquiError> {
        Ok(self.0.request_code(&phone).await?.into())
    }

    /// See [`Client::enrol_with_code`].
    pub async fn enrol_with_code(
        &self,
        challenge: String,
        code: String,
        pin: Option<String>,
        device_name: String,
    ) -> Result<Account, ChasquiError> {
        Ok(self.0.enrol_with_code(&challenge, &code, pin.as_deref(), &device_name).await?.into())
    }

    /// See [`Client::replace_account_with_code`].
    pub async fn replace_account_with_code(
        &self,
        challenge: String,
        code: String,
        device_name: String,
    ) -> Result<Account, ChasquiError> {
        Ok(self.0.replace_account_with_code(&challenge, &code, &device_name).await?.into())
    }

    /// See [`Client::set_pin`].
    pub async fn set_pin(&self, pin: Option<String>) -> Result<(), ChasquiError> {
        Ok(self.0.set_pin(pin.as_deref()).await?)
    }

    /// See [`Client::logout`].
    pub async fn logout(&self) -> Result<(), ChasquiError> {
        Ok(self.0.logout().await?)
    }

    /// See [`Client::wipe`]. The client is closed then.
    pub async fn wipe(&self) -> Result<(), ChasquiError> {
        Ok(self.0.clone().wipe().await?)
    }

    /// See [`Client::delete_account`].
    pub async fn delete_account(&self, proof: AccountProof) -> Result<(), ChasquiError> {
        Ok(self.0.delete_account(proof.into()).await?)
    }

    /// See [`Client::devices`].
    pub async fn devices(&self) -> Result<Vec<DeviceInfo>, ChasquiError> {
        Ok(all(self.0.devices().await?))
    }

    /// See [`Client::revoke_device`].
    pub async fn revoke_device(&self, device: DeviceId) -> Result<(), ChasquiError> {
        Ok(self.0.revoke_device(device).await?)
    }

    /// See [`Client::find_user`].
    pub async fn find_user(&self, name: String) -> Result<UserInfo, ChasquiError> {
        Ok(self.0.find_user(&name).await?.into())
    }

    /// See [`Client::open_direct`].
    pub async fn open_direct(&self, peer: UserId) -> Result<ConversationId, ChasquiError> {
        Ok(self.0.open_direct(peer).await?)
    }

    /// See [`Client::open_direct_as`].
    pub async fn open_direct_as(&self, peer: UserId, protection: Protection) -> Result<ConversationId, ChasquiError> {
        Ok(self.0.open_direct_as(peer, protection.into()).await?)
    }

    /// See [`Client::begin_linking`].
    pub async fn begin_linking(&self) -> Result<String, ChasquiError> {
        Ok(self.0.begin_linking().await?)
    }

    /// See [`Client::linking_number`].
    pub async fn linking_number(&self) -> Result<String, ChasquiError> {
        Ok(self.0.linking_number().await?)
    }

    /// See [`Client::link_device`].
    pub async fn link_device(&self, code: String) -> Result<String, ChasquiError> {
        Ok(self.0.link_device(&code).await?)
    }

    /// See [`Client::confirm_linking`].
    pub async fn confirm_linking(&self) -> Result<(), ChasquiError> {
        Ok(self.0.confirm_linking().await?)
    }

    /// See [`Client::cancel_linking`].
    pub async fn cancel_linking(&self) -> Result<(), ChasquiError> {
        Ok(self.0.cancel_linking().await?)
    }

    /// See [`Client::safety_number`].
    pub async fn safety_number(&self, user: UserId) -> Result<SafetyNumber, ChasquiError> {
        Ok(self.0.safety_number(user).await?.into())
    }

    /// See [`Client::verify`].
    pub async fn verify(&self, user: UserId, scanned: String) -> Result<bool, ChasquiError> {
        Ok(self.0.verify(user, &scanned).await?)
    }

    /// See [`Client::set_verified`].
    pub async fn set_verified(&self, user: UserId, is_verified: bool) -> Result<(), ChasquiError> {
        Ok(self.0.set_verified(user, is_verified).await?)
    }

    /// See [`Client::reset_identity`].
    pub async fn reset_identity(&self, proof: AccountProof) -> Result<(), ChasquiError> {
        Ok(self.0.reset_identity(proof.into()).await?)
    }

    /// See [`Client::security_events`].
    pub async fn security_events(&self, after: i64, limit: Count) -> Result<Vec<SecurityEvent>, ChasquiError> {
        Ok(all(self.0.security_events(event_number(after)?, limit.0).await?))
    }

    /// See [`Client::observe_security_events`].
    ///
    /// # Errors
    /// For a number below 0.
    pub fn observe_security_events(&self, after: i64) -> Result<Arc<NativeSecurityObserver>, ChasquiError> {
        Ok(NativeSecurityObserver::new(self.0.observe_security_events(event_number(after)?)))
    }

    /// See [`Client::history_transfer`].
    pub async fn history_transfer(&self) -> Result<Option<HistoryTransfer>, ChasquiError> {
        Ok(self.0.history_transfer().await?.map(HistoryTransfer::from))
    }

    /// See [`Client::observe_history_transfer`].
    pub fn observe_history_transfer(&self) -> Arc<NativeTransferObserver> {
        NativeTransferObserver::new(self.0.observe_history_transfer())
    }

    /// See [`Client::send_text`].
    pub async fn send_text(&self, conversation: ConversationId, text: String) -> Result<MessageId, ChasquiError> {
        Ok(self.0.send_text(conversation, text).await?)
    }

    /// See [`Client::send_text_as`].
    pub async fn send_text_as(
        &self,
        message: MessageId,
        conversation: ConversationId,
        text: String,
    ) -> Result<(), ChasquiError> {
        Ok(self.0.send_text_as(message, conversation, text).await?)
    }

    /// See [`Client::retry`].
    pub async fn retry(&self, message: MessageId) -> Result<(), ChasquiError> {
        Ok(self.0.retry(message).await?)
    }

    /// See [`Client::mark_read`].
    pub async fn mark_read(&self, conversation: ConversationId, up_to: Option<Seq>) -> Result<(), ChasquiError> {
        Ok(self.0.mark_read(conversation, up_to).await?)
    }

    /// See [`Client::delete`].
    pub async fn delete(&self, message: MessageId) -> Result<(), ChasquiError> {
        Ok(self.0.delete(message).await?)
    }

    /// See [`Client::set_typing`].
    pub async fn set_typing(&self, conversation: ConversationId, typing: bool) -> Result<(), ChasquiError> {
        Ok(self.0.set_typing(conversation, typing).await?)
    }

    /// See [`Client::typing`].
    pub fn typing(&self) -> Vec<Typing> {
        all(self.0.typing())
    }

    /// See [`Client::observe_typing`].
    pub fn observe_typing(&self) -> Arc<NativeTypingObserver> {
        NativeTypingObserver::new(self.0.observe_typing())
    }

    /// See [`Client::accept_request`].
    pub async fn accept_request(&self, conversation: ConversationId) -> Result<(), ChasquiError> {
        Ok(self.0.accept_request(conversation).await?)
    }

    /// See [`Client::decline_request`].
    pub async fn decline_request(&self, conversation: ConversationId, block: bool) -> Result<(), ChasquiError> {
        Ok(self.0.decline_request(conversation, block).await?)
    }

    /// See [`Client::conversations`].
    pub async fn conversations(&self, limit: Count) -> Result<Vec<ConversationSummary>, ChasquiError> {
        Ok(all(self.0.conversations(limit.0).await?))
    }

    /// See [`Client::conversation`].
    pub async fn conversation(&self, id: ConversationId) -> Result<Option<ConversationSummary>, ChasquiError> {
        Ok(self.0.conversation(id).await?.map(ConversationSummary::from))
    }

    /// See [`Client::total_unread`].
    pub async fn total_unread(&self) -> Result<Count, ChasquiError> {
        Ok(self.0.total_unread().await?.into())
    }

    /// See [`Client::timeline`].
    pub async fn timeline(
        &self,
        conversation: ConversationId,
        before: Option<Cursor>,
        limit: Count,
    ) -> Result<TimelinePage, ChasquiError> {
        planted::at_once(limit);
        Ok(self.0.timeline(conversation, before, limit.0).await?.into())
    }

    /// See [`Client::timeline_after`].
    pub async fn timeline_after(
        &self,
        conversation: ConversationId,
        after: Cursor,
        limit: Count,
    ) -> Result<TimelinePage, ChasquiError> {
        Ok(self.0.timeline_after(conversation, after, limit.0).await?.into())
    }

    /// See [`Client::incomplete`].
    pub async fn incomplete(&self) -> Result<Option<Incomplete>, ChasquiError> {
        Ok(self.0.incomplete().await?.map(Incomplete::from))
    }

    /// See [`Client::message`].
    pub async fn message(&self, id: MessageId) -> Result<Option<Message>, ChasquiError> {
        Ok(self.0.message(id).await?.map(Message::from))
    }

    /// See [`Client::search`].
    pub async fn search(&self, query: String, limit: Count) -> Result<Vec<SearchHit>, ChasquiError> {
        Ok(all(self.0.search(&query, limit.0).await?))
    }

    /// See [`Client::observe_conversations`].
    ///
    /// # Errors
    /// For a limit that is none.
    pub fn observe_conversations(&self, limit: Count) -> Result<Arc<NativeConversationsObserver>, ChasquiError> {
        Ok(NativeConversationsObserver::new(self.0.observe_conversations(limit.0)))
    }

    /// See [`Client::observe_timeline`].
    ///
    /// # Errors
    /// For an id or a limit that is none.
    pub fn observe_timeline(
        &self,
        conversation: ConversationId,
        limit: Count,
    ) -> Result<Arc<NativeTimelineObserver>, ChasquiError> {
        planted::at_once(limit);
        Ok(NativeTimelineObserver::new(self.0.observe_timeline(conversation, limit.0)))
    }

    /// See [`Client::connection`].
    pub fn connection(&self) -> ConnectionState {
        self.0.connection().into()
    }

    /// See [`Client::observe_connection`].
    pub fn observe_connection(&self) -> Arc<NativeConnectionObserver> {
        NativeConnectionObserver::new(self.0.observe_connection())
    }

    /// See [`Client::salvages`].
    pub async fn salvages(&self) -> Result<Vec<Salvage>, ChasquiError> {
        Ok(all(self.0.salvages().await?))
    }

    /// See [`Client::observe_salvages`].
    ///
    /// # Errors
    /// For a number below 0.
    pub fn observe_salvages(&self, shown: i64) -> Result<Arc<NativeSalvageObserver>, ChasquiError> {
        Ok(NativeSalvageObserver::new(self.0.observe_salvages(unsigned(shown, "the number of a salvage")?)))
    }

    /// See [`Client::network_up`].
    pub fn network_up(&self) {
        self.0.network_up();
    }

    /// See [`Client::suspend`].
    pub async fn suspend(&self) -> Result<(), ChasquiError> {
        Ok(self.0.suspend().await?)
    }

    /// See [`Client::resume`].
    pub async fn resume(&self) -> Result<(), ChasquiError> {
        Ok(self.0.resume().await?)
    }

    /// See [`Client::close`]. Under another name there: Kotlin's objects have a `close` already, which frees them.
    #[uniffi::method(name = "shut_down")]
    pub async fn close(&self) -> Result<(), ChasquiError> {
        Ok(self.0.close().await?)
    }

    /// See [`Client::export_pages`], of which [`Client::export`] is made in each language.
    pub fn export_pages(&self) -> Arc<NativeExport> {
        NativeExport::new(self.0.export_pages())
    }

    /// See [`Client::backup_pages`], of which [`Client::back_up`] is made in each language.
    ///
    /// # Errors
    /// For what is no phrase.
    pub fn backup_pages(&self, phrase: String) -> Result<Arc<NativeBackup>, ChasquiError> {
        Ok(NativeBackup::new(self.0.backup_pages(&phrase)?))
    }

    /// See [`Client::begin_restore`], of which [`Client::restore`] is made in each language.
    ///
    /// # Errors
    /// For what is no phrase.
    pub fn begin_restore(&self, phrase: String) -> Result<Arc<NativeRestore>, ChasquiError> {
        Ok(NativeRestore::new(self.0.begin_restore(&phrase)?))
    }

    /// See [`Client::export_from_node`].
    pub async fn export_from_node(&self) -> Result<String, ChasquiError> {
        Ok(self.0.export_from_node().await?)
    }
}

fn event_number(number: i64) -> Result<u64, ChasquiError> {
    unsigned(number, "the number of a security event")
}
