//! Requests that are asked again because the worker that was asked first is gone, and with it its answer.
//!
//! Most of [`Client`](chasqui::Client)'s operations change nothing the second time. These say that there is nothing left to
//! do; asked again, that is success.

use chasqui::{Client, Error};
use serde_json::Value;

use crate::request::Request;
use crate::shape;

/// What a request is called whose second try can find everything done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeated {
    Enrolment,
    Leaving,
    Retry,
    Removal,
    Other,
}

impl From<&Request> for Repeated {
    fn from(request: &Request) -> Self {
        match request {
            Request::Register { .. }
            | Request::Login { .. }
            | Request::EnrolWithToken { .. }
            | Request::EnrolWithCode { .. }
            | Request::ReplaceAccountWithCode { .. } => Self::Enrolment,
            Request::Logout {} | Request::DeleteAccount { .. } => Self::Leaving,
            Request::Retry { .. } => Self::Retry,
            Request::Delete { .. } | Request::RevokeDevice { .. } => Self::Removal,
            _ => Self::Other,
        }
    }
}

/// The answer that the first try had, if this error says that it succeeded.
pub(crate) async fn answered_before(client: &Client, repeated: Repeated, error: Error) -> Result<Value, Error> {
    match (repeated, &error) {
        (Repeated::Enrolment, Error::AlreadyEnrolled) => {
            let account = client.account().await?.ok_or(error)?;
            Ok(shape::account(&account))
        }
        (Repeated::Leaving, Error::NotEnrolled)
        | (Repeated::Retry, Error::Invalid { .. })
        | (Repeated::Removal, Error::NotFound { .. }) => Ok(Value::Null),
        _ => Err(error),
    }
}
