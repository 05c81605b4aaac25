//! What a tab asks for. Whatever does not fit is [`Error::Invalid`], and says where.

use chasqui::{
    AccountProof, Client, Config, ConversationId, Cursor, DeviceId, Error, MessageId, Protection, RealmId, Seq, UserId,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// Of the name of an account.
const NAME_BYTES: usize = 64;

/// How a client is opened.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Open {
    /// Tells the accounts of an origin apart.
    name: String,
    /// The base URL of the node.
    node: String,
    realm: Option<RealmId>,
    device_binding: Option<[u8; 32]>,
    #[serde(default)]
    adopt_copy: bool,
}

impl Open {
    /// Opens it. One name is one folder below the origin's private file system.
    ///
    /// # Errors
    /// As [`Client::open`].
    pub async fn client(self) -> Result<Client, Error> {
        let is_usable = !matches!(self.name.as_str(), "" | "." | "..") && self.name.len() <= NAME_BYTES;
        if !is_usable || self.name.contains(['/', '\0']) {
            let detail = format!("a name has 1 to {NAME_BYTES} bytes, without slashes");
            return Err(Error::Invalid { detail });
        }
        let mut config = Config::new(format!("chasqui/{}", self.name), self.node);
        if let Some(realm) = self.realm {
            config = config.realm(realm);
        }
        if let Some(secret) = self.device_binding {
            config = config.device_binding(secret);
        }
        if self.adopt_copy {
            config = config.adopt_copy();
        }
        Client::open(config).await
    }
}

macro_rules! requests {
    ($($name:ident { $($argument:ident: $kind:ty),* })*) => {
        /// A call of one of [`Client`]'s operations, under the same name. Holds passwords and phrases: nothing prints it.
        ///
        /// In JSON its name is the one key, and its arguments the value. Read by the macro and not by what serde derives, which
        /// is two functions for each of them, and 50 KB more.
        #[expect(missing_docs, reason = "documented at `Client`")]
        pub enum Request {
            $($name { $($argument: $kind),* },)*
        }

        impl Request {
            /// `None`: there is no such call.
            fn read(name: &str, given: &mut Arguments) -> Result<Option<Self>, serde_json::Error> {
                $(if name == camel_case(stringify!($name)) {
                    return Ok(Some(Self::$name { $($argument: given.take(stringify!($argument))?),* }));
                })*
                Ok(None)
            }
        }
    };
}

requests! {
    Account {}
    Register { name: String, password: String, device_name: String }
    Login { name: String, password: String, device_name: String }
    EnrolWithToken { token: String, device_name: String }
    RequestCode { phone: String }
    EnrolWithCode { challenge: String, code: String, pin: Option<String>, device_name: String }
    ReplaceAccountWithCode { challenge: String, code: String, device_name: String }
    SetPin { pin: Option<String> }
    Logout {}
    Wipe {}
    DeleteAccount { proof: Proof }
    Devices {}
    RevokeDevice { device: DeviceId }
    FindUser { name: String }
    OpenDirect { peer: UserId }
    OpenDirectAs { peer: UserId, protection: Kind }
    BeginLinking {}
    LinkingNumber {}
    LinkDevice { code: String }
    ConfirmLinking {}
    CancelLinking {}
    SendText { message: MessageId, conversation: ConversationId, text: String }
    Retry { message: MessageId }
    MarkRead { conversation: ConversationId, up_to: Option<Seq> }
    Delete { message: MessageId }
    SetTyping { conversation: ConversationId, typing: bool }
    Typing {}
    AcceptRequest { conversation: ConversationId }
    DeclineRequest { conversation: ConversationId, block: bool }
    Conversations { limit: u32 }
    Conversation { conversation: ConversationId }
    TotalUnread {}
    Timeline { conversation: ConversationId, before: Option<Place>, limit: u32 }
    TimelineAfter { conversation: ConversationId, after: Place, limit: u32 }
    Incomplete {}
    Message { message: MessageId }
    Search { query: String, limit: u32 }
    Connection {}
    Salvages {}
    NetworkUp {}
    Export {}
    ExportFromNode {}
    BackUp { phrase: String }
    Restore { phrase: String }
    SafetyNumber { user: UserId }
    Verify { user: UserId, scanned: String }
    SetVerified { user: UserId, is_verified: bool }
    ResetIdentity { proof: Proof }
    SecurityEvents { after: u64, limit: u32 }
    HistoryTransfer {}
}

/// What a call was given.
struct Arguments(Map<String, Value>);

impl Arguments {
    /// What is not there is null.
    fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, serde_json::Error> {
        let name = camel_case(name);
        let read = serde_json::from_value(self.0.remove(&name).unwrap_or_default());
        read.map_err(|error| serde::de::Error::custom(format_args!("{name}: {error}")))
    }
}

/// As JavaScript has it what Rust calls `snake_case` or `UpperCase`.
fn camel_case(name: &str) -> String {
    let mut is_upper = false;
    let mut camel = String::with_capacity(name.len());
    for (at, letter) in name.chars().enumerate() {
        match letter {
            '_' => is_upper = true,
            _ if std::mem::take(&mut is_upper) => camel.push(letter.to_ascii_uppercase()),
            _ if at == 0 => camel.push(letter.to_ascii_lowercase()),
            _ => camel.push(letter),
        }
    }
    camel
}

/// Who can read a conversation.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// The node could.
    NodeReadable,
    /// The members' devices.
    EndToEnd,
}

impl From<Kind> for Protection {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::NodeReadable => Self::NodeReadable,
            Kind::EndToEnd => Self::EndToEnd,
        }
    }
}

/// What proves that it is the account's owner: nothing, or one of what the account has.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Proof {
    /// The account has nothing to be proved by.
    #[default]
    None,
    /// As registered.
    Password(String),
    /// Of the telephone's account.
    Pin(String),
    /// Of the app's backend.
    Token(String),
}

impl From<Proof> for AccountProof {
    fn from(proof: Proof) -> Self {
        match proof {
            Proof::None => Self::none(),
            Proof::Password(password) => Self::password(&password),
            Proof::Pin(pin) => Self::pin(&pin),
            Proof::Token(token) => Self::token(&token),
        }
    }
}

/// A [`Cursor`], as text.
#[derive(Clone, Copy, Debug)]
pub struct Place(pub(crate) Cursor);

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|_| serde::de::Error::custom("that is no cursor"))
    }
}

/// Reads how a client is opened.
///
/// # Errors
/// [`Error::Invalid`].
pub fn open(text: &str) -> Result<Open, Error> {
    read(text)
}

/// Reads a call.
///
/// # Errors
/// [`Error::Invalid`].
pub fn request(text: &str) -> Result<Request, Error> {
    let called: Map<String, Value> = read(text)?;
    let mut calls = called.into_iter();
    let (Some((name, Value::Object(given))), None) = (calls.next(), calls.next()) else {
        return Err(unfit("one call, with its arguments"));
    };
    let mut given = Arguments(given);
    let request = Request::read(&name, &mut given).map_err(unfit)?.ok_or_else(|| unfit("no such call"))?;
    match given.0.keys().next() {
        Some(unknown) => Err(unfit(format_args!("unknown field `{unknown}`"))),
        None => Ok(request),
    }
}

pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(unfit)
}

fn unfit(why: impl std::fmt::Display) -> Error {
    Error::Invalid { detail: format!("the arguments do not fit: {why}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_invalid() {
        let id = "0197a3c1-7c00-7000-8000-000000000001";
        let refused = [
            "",
            "7",
            r#""account""#,
            r#"{"account":{},"devices":{}}"#,
            r#"{"sing":{}}"#,
            r#"{"account":{"extra":1}}"#,
            r#"{"openDirect":{}}"#,
            r#"{"openDirect":{"peer":7}}"#,
            r#"{"openDirect":{"peer":"ana"}}"#,
            r#"{"openDirectAs":{"peer":"0197a3c1-7c00-7000-8000-000000000001","protection":"none"}}"#,
            r#"{"linkDevice":{"code":7}}"#,
            r#"{"conversations":{"limit":-1}}"#,
            r#"{"conversations":{"limit":1.5}}"#,
            r#"{"conversations":{"limit":null}}"#,
            r#"{"search":{"query":["a"],"limit":1}}"#,
            r#"{"deleteAccount":{"proof":{"password":1}}}"#,
            r#"{"resetIdentity":{}}"#,
            r#"{"backUp":{"phrase":null}}"#,
            r#"{"restore":{"phrase":"","file":{}}}"#,
            r#"{"setVerified":{"user":"0197a3c1-7c00-7000-8000-000000000001","isVerified":1}}"#,
            r#"{"securityEvents":{"after":-1,"limit":1}}"#,
        ];
        for text in refused {
            assert!(matches!(request(text), Err(Error::Invalid { .. })), "{text}");
        }
        for with in [r#""text":"a\ud800""#, r#""text":{}"#] {
            let text = format!(r#"{{"sendText":{{"message":"{id}","conversation":"{id}",{with}}}}}"#);
            assert!(matches!(request(&text), Err(Error::Invalid { .. })), "{text}");
        }
        let after = format!(r#"{{"timelineAfter":{{"conversation":"{id}","after":"x","limit":1}}}}"#);
        assert!(matches!(request(&after), Err(Error::Invalid { .. })));
    }

    #[test]
    fn what_fits_is_read() {
        let id = "0197a3c1-7c00-7000-8000-000000000001";
        let text = format!(r#"{{"markRead":{{"conversation":"{id}","upTo":null}}}}"#);
        assert!(matches!(request(&text), Ok(Request::MarkRead { up_to: None, .. })));
        let text = r#"{"deleteAccount":{"proof":{"password":"secret"}}}"#;
        assert!(matches!(request(text), Ok(Request::DeleteAccount { proof: Proof::Password(_) })));
        assert!(request(r#"{"deleteAccount":{"proof":"none"}}"#).is_ok());
    }
}
